"""The shape of the whole file, and its JSON Schema, by which editors complete and check it while it is written."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gateway.config.tables import AdminTable, ForwardDefaults, ForwardEntry, GatewayTable, Table
from gateway.config.tunnel_tables import AnyTunnel, TunnelDefaults


class DefaultsTable(Table):
    """What entries leave out is filled in from here."""

    forward: ForwardDefaults = Field(default=ForwardDefaults(), description="Defaults of every [[forward]].")
    tunnel: TunnelDefaults = Field(default=TunnelDefaults(), description="Defaults of every [[tunnel]].")


class File(Table):
    """The configuration of the gateway: which local ports lead where, and through which tunnels."""

    gateway: GatewayTable = Field(default=GatewayTable(), description="What holds for the whole process.")
    admin: AdminTable = Field(default=AdminTable(), description="Where the gateway is watched.")
    defaults: DefaultsTable = Field(default=DefaultsTable(), description="What entries may leave out.")
    tunnel: list[AnyTunnel] = Field(min_length=1, description="The tunnels, each a [[tunnel]].")
    forward: list[ForwardEntry] = Field(min_length=1, description="The forwards, each a [[forward]].")


class _AsWritten(GenerateJsonSchema):
    """JSON Schema of what stands in the file: TOML has no null, and what a table is without its keys helps nobody."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if isinstance(schema.get("default"), str | int | float):
            return super().default_schema(schema)
        return self.generate_inner(schema["schema"])


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file."""
    made = File.model_json_schema(schema_generator=_AsWritten)
    return {"$schema": _AsWritten.schema_dialect, **made, "title": "Gateway configuration"}

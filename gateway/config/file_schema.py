"""The shape of the whole file, and its JSON Schema, by which editors complete and check it while it is written."""

from __future__ import annotations

from typing import Any

from pydantic import Field

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


def schema() -> dict[str, Any]:
    """The JSON Schema of the configuration file."""
    made = File.model_json_schema(by_alias=True)
    for table in ("gateway", "admin", "defaults"):  # "what is in the table when there is none" helps nobody
        made["properties"][table].pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made, "title": "Gateway configuration"}

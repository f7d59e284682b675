"""The command line: `gateway --config F` runs; verbs validate, describe and ask.

Those that talk to a running gateway over its control socket are in `verbs`.

Exit codes: 0 good, 1 failed, 2 usage or bad configuration. Heavy imports happen inside the verbs, so that
`gateway healthcheck`, which a container runtime starts every few seconds, starts quickly.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from gateway import __version__
from gateway.errors import ConfigError
from gateway.observe.choices import LogFormat, LogLevel
from gateway.observe.streams import open_missing
from gateway.verbs import commands

if TYPE_CHECKING:
    from gateway.model import Config

GOOD, FAILED, BAD_CONFIGURATION = 0, 1, 2

app = typer.Typer(
    name="gateway",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 good, 1 failed, 2 usage or bad configuration. Documentation: docs/ in the source.",
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Run the gateway with this TOML file.", show_default=False),
]
FormatOption = Annotated[
    LogFormat,
    typer.Option(envvar="GATEWAY_LOG_FORMAT", help="How log lines look; auto: console on a terminal, else JSON."),
]
LevelOption = Annotated[LogLevel, typer.Option(envvar="GATEWAY_LOG_LEVEL", help="The least severe line written.")]


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    config: ConfigOption = None,
    log_format: FormatOption = LogFormat.AUTO,
    log_level: LevelOption = LogLevel.INFO,
) -> None:
    """TCP port forwarding through redundant VPN tunnels.

    Listens on local ports and relays every connection through whichever tunnel
    is healthy; when a tunnel dies, its connections are reset at once and new ones
    take the next tunnel. A connection leaves through the chosen tunnel or not at
    all.

    Start it:        gateway --config forwards.toml

    Try the file:    gateway check forwards.toml

    Stop it:         SIGTERM drains, a second one ends at once.
    """
    if context.invoked_subcommand is not None:
        return
    if config is None:
        typer.echo(context.get_help())
        _fail("nothing to run: name a configuration file with --config FILE", BAD_CONFIGURATION)
    loaded = _load(config)
    from gateway import app as composition  # noqa: PLC0415 - only the running gateway needs all the rooms
    from gateway.observe.logs import configure  # noqa: PLC0415

    configure(environment=loaded.gateway.environment, format=log_format, level=log_level)
    raise typer.Exit(composition.run(loaded))


@app.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="The TOML file to validate.")]) -> None:
    """Validate a configuration file and show the plan that it makes.

    Every error is shown at once, with its place in the file. Nothing is started.
    """
    from gateway.config.plan import render  # noqa: PLC0415 - as in `run`
    from gateway.verbs.terminal import console  # noqa: PLC0415

    console().print(render(_load(file)))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors and linters."""
    from gateway.config import schema as json_schema  # noqa: PLC0415

    typer.echo(json.dumps(json_schema(), indent=2))


@app.command()
def healthcheck(
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The gateway to ask. Default: $GATEWAY_ADMIN, else 127.0.0.1:9099."),
    ] = None,
    ready: Annotated[  # noqa: FBT002 - a flag of the command line is a flag
        bool, typer.Option("--ready", help="Ask whether clients can be served, not only whether it lives.")
    ] = False,
) -> None:
    """Ask a running gateway whether it is alive; exit code 1 if it is not."""
    from gateway.admin.healthcheck import healthcheck as ask  # noqa: PLC0415

    good, line = ask(url, ready=ready, env=os.environ)
    typer.echo(line, err=not good)
    raise typer.Exit(GOOD if good else FAILED)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


commands.add_to(app)


def _load(file: Path) -> Config:
    from gateway.config import load  # noqa: PLC0415 - pydantic takes a quarter of a second

    try:
        return load(file)
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        number = len(error.problems)
        _fail(f"{file}: {number} error{'s' if number != 1 else ''}; nothing was started", BAD_CONFIGURATION)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"gateway: {message}", err=True)
    raise typer.Exit(code)


def main() -> None:
    """The entry point of the package."""
    open_missing()
    app()

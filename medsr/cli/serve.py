"""medsr serve"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medsr.cli.console import say
from medsr.errors import UsageError

if TYPE_CHECKING:
    from medsr.service.run import Process

__all__ = ["processes", "serve"]


def serve(
    config: Annotated[Path | None, typer.Option("--config", help="TOML file of settings.", exists=True)] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65_535, help="Port to listen on.")] = None,
    store: Annotated[Path | None, typer.Option("--store", help="Folder of jobs and files.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Worker processes.")] = None,
    only: Annotated[
        str | None, typer.Option("--only", help="Some of the processes alone.", metavar="api,worker")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print every setting as it stands, and exit.")
    ] = False,
) -> None:
    """Serve jobs over REST, with a page to review results. Needs no configuration.

    Settings come from --config or MEDSR_CONFIG (TOML), from MEDSR_* variables and from these options, each winning
    over the one before. SIGTERM stops intake and ends or hands back what runs.
    """
    from medsr.service.settings import configure, exported, shown_settings

    settings = configure(config, host=host, port=port, store=store, workers=workers)
    if print_config:
        typer.echo(shown_settings(settings))
        return
    from medsr.service.run import serve as run

    code = run(settings, only=processes(only), limits=exported(config), say=say, say_key=_say_key)
    raise typer.Exit(code)


def processes(only: str | None) -> tuple[Process, ...]:
    """The processes that ``--only`` names, all without it.

    Raises
    ------
    UsageError : ``serve.process``.
    """
    from medsr.service.run import PROCESSES

    wanted = PROCESSES if only is None else tuple(part.strip() for part in only.split(","))
    for name in wanted:
        if name not in PROCESSES:
            raise UsageError("serve.process", f"there is no process {name[:40]!r}")
    return tuple(name for name in PROCESSES if name in wanted)


def _say_key(secret: str) -> None:
    """The administrator's key of a new store, once: alone on stdout, so that a script can keep it."""
    say("administrator's key of this store, shown this once:")
    typer.echo(secret)

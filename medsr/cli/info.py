"""medsr info"""

from __future__ import annotations

import typer

from medsr.cli.console import set_verbosity, write_json
from medsr.cli.options import Input, Json, Pick, Verbose

__all__ = ["info"]


def info(scan: Input, pick: Pick = None, json: Json = False, verbose: Verbose = False) -> None:
    """Say what medsr sees in a scan: series, geometry in mm, and what it would refuse and why."""
    set_verbosity(verbose=verbose)
    from medsr.io import describe

    description = describe(scan, pick=pick)
    if json:
        write_json(description.to_json())
    else:
        typer.echo(description.to_text())

"""medsr backup"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import say
from medsr.cli.stores import StoreFolder, opened_store

__all__ = ["backup"]


def backup(
    target: Annotated[Path, typer.Argument(help="Folder to write, not there yet.", file_okay=False)],
    store: StoreFolder = None,
) -> None:
    """Copy a job store, also while it serves: one state of the rows, and every file they name, hashed."""
    from medsr.jobs.backup import backup as copy

    with opened_store(store) as held:
        report = copy(held, target)
    say(f"backed up: {report.jobs} jobs, {report.files} files, {report.bytes} bytes")
    typer.echo(f"audit head: {report.audit_seq}:{report.audit_hash}")

"""medsr verify"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import say

__all__ = ["verify"]


def verify(
    file: Annotated[Path, typer.Argument(help="A file that medsr released, or its record.", exists=True)],
    key: Annotated[Path | None, typer.Option("--key", help="Public key of the signer (PEM).", exists=True)] = None,
) -> None:
    """Check a result against its signed record: every file's hash, and the signature."""
    from medsr.release import verify_file

    for line in verify_file(file, key=key):
        say(line)

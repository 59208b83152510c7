"""medsr release"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import say
from medsr.errors import UsageError

__all__ = ["release"]


def release(
    folder: Annotated[Path, typer.Argument(help="Output folder of a restore.", exists=True, file_okay=False)],
    reader: Annotated[str, typer.Option("--reader", help="Who decided.")],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    reject: Annotated[bool, typer.Option("--reject", help="Refuse the held result for good.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take a released result back.")] = False,
) -> None:
    """Record a reader's decision on a held result, and move it out of held/ if it is released.

    Nothing in the files changes: the decision stands beside them in release.json.
    """
    from medsr.release import decide_held

    if reject and withdraw:
        raise UsageError("release.decision", "--reject and --withdraw exclude each other")
    made = decide_held(
        folder, reader=reader, reason=reason, event="refuse" if reject else "withdraw" if withdraw else "approve"
    )
    say(f"{made.state}: {folder}")

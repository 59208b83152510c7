"""medsr demo"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import say, set_verbosity, write_json
from medsr.cli.options import Json, Overwrite, Quiet, Verbose

__all__ = ["demo"]


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path("demo-out"),
    scan: Annotated[Path | None, typer.Option("--scan", help="Your own scan instead of medsr's two.")] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Degrade, restore and judge two real scans, and see the gate catch a false and a lost structure.

    Needs no download. Ends with one page that links the reports; exit code 0 whatever the verdicts.
    """
    set_verbosity(verbose=verbose)
    from medsr.pipeline.demo import run_demo

    ended = run_demo(output, scan=scan, overwrite=overwrite, log=lambda line: say(line, quiet=quiet or json))
    page = output / "index.html"
    if json:
        found = [
            {"title": c.title, "word": c.word, "sentence": c.sentence, "report": str(c.report)} for c in ended.cases
        ]
        write_json({"page": str(page), "cases": found, "flipped_byte": ended.flipped})
    else:
        say(f"open {page}", quiet=quiet)

"""medsr evaluate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import say, set_verbosity, write_json
from medsr.cli.options import Json, Quiet, Verbose

__all__ = ["evaluate"]


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder of .nii.gz scans.", exists=True, file_okay=False)],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Markdown file to write.")] = None,
    slices: Annotated[int, typer.Option("--slices", min=1, help="Middle slices of each scan.")] = 6,
    only: Annotated[list[str] | None, typer.Option("--only", help="Names (or their beginnings) of scans.")] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare the installed bundles with the input and classical peers, on the same inputs in one run."""
    set_verbosity(verbose=verbose)
    from medsr.evaluate.evaluate import evaluate_folder, row_record
    from medsr.evaluate.tables import markdown
    from medsr.resources import write_bytes

    rows = evaluate_folder(folder, slices=slices, names=tuple(only or ()), log=lambda line: say(line, quiet=quiet))
    text = markdown(rows, source=folder.name)
    if output:
        write_bytes(output, (text + "\n").encode())
    if json:
        write_json({"rows": [row_record(row) for row in rows]})
    elif not output:
        typer.echo(text)

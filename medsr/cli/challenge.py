"""medsr challenge"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import command_typed, say, set_verbosity, write_json
from medsr.cli.options import Json, Quiet, Verbose

__all__ = ["challenge"]


def challenge(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of .nii.gz scans, never those of training.", exists=True)
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Markdown file to write; the .json lies beside it.")
    ] = None,
    places: Annotated[int, typer.Option("--places", min=1, help="Lesions a level, arm and d', over all scans.")] = 50,
    slices: Annotated[int, typer.Option("--slices", min=1, help="Middle slices of each scan.")] = 4,
    only: Annotated[list[str] | None, typer.Option("--only", help="Names (or their beginnings) of scans.")] = None,
    skip: Annotated[list[str] | None, typer.Option("--skip", help="Names (or their beginnings) to leave out.")] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Plant and remove lesions in restored scans, and count what the gate finds and what it finds in clean twins."""
    set_verbosity(verbose=verbose)
    from json import dumps

    from medsr.evaluate.challenge import ChallengePlan, challenge_folders, challenge_record
    from medsr.evaluate.challenge_tables import challenge_markdown
    from medsr.resources import write_bytes

    plan = ChallengePlan(places=places, slices=slices)
    result = challenge_folders(
        folders, plan=plan, only=tuple(only or ()), skip=tuple(skip or ()), log=lambda line: say(line, quiet=quiet)
    )
    record = challenge_record(result, plan)
    source = ", ".join(f"{folder.parent.name}/{folder.name}" for folder in folders)
    text = challenge_markdown(result, source=source, command=command_typed())
    if output:
        write_bytes(output, (text + "\n").encode())
        write_bytes(output.with_suffix(".json"), (dumps(record, indent=1) + "\n").encode())
    if json:
        write_json(record)
    elif not output:
        typer.echo(text)

"""medsr challenge"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import command_typed, say, set_verbosity, write_json
from medsr.cli.options import Json, Quiet, Verbose

__all__ = ["challenge"]


def challenge(
    given: Annotated[
        list[str],
        typer.Argument(help="Bundles by name (the installed regressors by default) and folders of strange scans."),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Markdown file to write; the .json lies beside it.")
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option("--evidence", help="Folder that gets BUNDLE@VERSION with tables and pictures.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option("--references", help="JSON of what published outputs showed (V5, V11).", exists=True)
    ] = None,
    arms: Annotated[
        str | None, typer.Option("--arms", help="insertion,omission,clean,input,null,operator,noise; all by default.")
    ] = None,
    places: Annotated[int, typer.Option("--places", min=1, help="Lesions a level, arm and d', over all scans.")] = 50,
    slices: Annotated[int, typer.Option("--slices", min=1, help="Middle slices of each scan.")] = 4,
    only: Annotated[list[str] | None, typer.Option("--only", help="Names (or their beginnings) of scans.")] = None,
    skip: Annotated[list[str] | None, typer.Option("--skip", help="Names (or their beginnings) to leave out.")] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Plant and remove lesions, tell wrong operators and noise, and count what the gate makes of it."""
    set_verbosity(verbose=verbose)
    from medsr.evaluate.challenge import ALL_ARMS, ChallengePlan
    from medsr.evaluate.challenge_files import ChallengeRequest, challenge_files

    chosen = tuple(arms.split(",")) if arms else ALL_ARMS
    request = ChallengeRequest(
        given=tuple(given),
        plan=ChallengePlan(places=places, slices=slices, arms=chosen),
        output=output,
        evidence=evidence,
        references=references,
        only=tuple(only or ()),
        skip=tuple(skip or ()),
        command=command_typed(),
    )
    text, record = challenge_files(request, log=lambda line: say(line, quiet=quiet))
    if json:
        write_json(record)
    elif not output:
        typer.echo(text)

"""medsr evaluate"""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import say, set_verbosity, write_json
from medsr.cli.options import Json, Quiet, Verbose

__all__ = ["evaluate"]


class PeerOption(StrEnum):
    """How many classical peers run."""

    none = "none"
    fast = "fast"
    all = "all"


def evaluate(
    folders: Annotated[list[Path], typer.Argument(help="Folders of .nii.gz scans.", exists=True, file_okay=False)],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Markdown file to write; .json and .svg beside it.")
    ] = None,
    level: Annotated[
        list[str] | None, typer.Option("--level", help='Levels (or their beginnings), e.g. "MR denoise".')
    ] = None,
    slices: Annotated[int, typer.Option("--slices", min=1, help="Middle slices of each scan that are judged.")] = 6,
    only: Annotated[list[str] | None, typer.Option("--only", help="Names (or their beginnings) of scans.")] = None,
    peers: Annotated[PeerOption, typer.Option("--peers", help="Classical peers; all takes hours.")] = PeerOption.fast,
    best_nlm: Annotated[
        bool, typer.Option("--best-nlm", help="Also non-local means at the setting that is best for each scan.")
    ] = False,
    draws: Annotated[
        int, typer.Option("--draws", min=0, help="Noise draws on one scan of each modality: noise left, contrast kept.")
    ] = 0,
    window: Annotated[
        int | None, typer.Option("--window", min=64, help="Denoise so many middle pixels only; BM4D is slow.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option("--settings", help="Peer settings, instead of those that travel with medsr.")
    ] = None,
    tune: Annotated[
        bool, typer.Option("--tune", help="Tune the peers on these scans and write their settings to -o instead.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Keep what an earlier run left beside -o.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare the installed bundles with the input and classical peers, on the same inputs in one run."""
    set_verbosity(verbose=verbose)
    from medsr.evaluate.commands import EvaluateRequest, evaluate_files, tune_file

    request = EvaluateRequest(
        folders=tuple(folders),
        output=output,
        levels=tuple(level or ()),
        slices=slices,
        only=tuple(only or ()),
        peers=peers.value,
        best_nlm=best_nlm,
        draws=draws,
        window=window,
        settings=settings,
        resume=resume,
        command=shlex.join(["medsr", *(_shown(argument) for argument in sys.argv[1:])]),
    )

    def log(line: str) -> None:
        say(line, quiet=quiet)

    if tune:
        typer.echo(tune_file(request, log=log))
        return
    text, document = evaluate_files(request, log=log)
    if json:
        write_json(document)
    elif output is None:
        typer.echo(text)


def _shown(argument: str) -> str:
    """An argument as it stands in a document: absolute paths by their last two names, for no machine has the others."""
    path = Path(argument)
    return "/".join(path.parts[-2:]) if path.is_absolute() else argument

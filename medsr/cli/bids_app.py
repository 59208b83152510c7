"""medsr-bids: the signature of BIDS Apps, bids_dir output_dir analysis_level."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.batch import batch
from medsr.cli.options import Json, MethodChoice, PolicyOption, Quiet, TaskChoice, Verbose

__all__ = ["bids_app"]


class Level(StrEnum):
    """Levels of analysis of a BIDS App."""

    participant = "participant"


def bids_app(
    bids_dir: Annotated[Path, typer.Argument(help="A BIDS dataset.")],
    output_dir: Annotated[Path, typer.Argument(help="The derivative dataset to write.")],
    level: Annotated[Level, typer.Argument(metavar="participant", help="participant; there is no group level.")],  # noqa: ARG001 - part of the signature
    participant_label: Annotated[
        list[str] | None, typer.Option("--participant-label", "--participant_label", help="Subjects, without sub-.")
    ] = None,
    skip_bids_validation: Annotated[  # noqa: ARG001 - part of the signature
        bool, typer.Option("--skip-bids-validation", "--skip_bids_validator", help="Accepted: nothing is validated.")
    ] = False,
    n_cpus: Annotated[int | None, typer.Option("--n-cpus", "--n_cpus", min=1, help="Worker processes.")] = None,
    task: Annotated[TaskChoice, typer.Option("--task", help="What to do.")] = TaskChoice.denoise,
    scale: Annotated[float | None, typer.Option("--scale", help="In-plane factor of super-resolution.")] = None,
    through: Annotated[float | None, typer.Option("--through", help="Through-plane factor.")] = None,
    method: Annotated[MethodChoice, typer.Option("--method", help="How to restore.")] = MethodChoice.regress,
    policy: PolicyOption = "research",
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Restore the anatomical images of a BIDS dataset, each judged before release (see medsr batch)."""
    batch(
        bids_dir,
        output_dir,
        task=task,
        scale=scale,
        through=through,
        method=method,
        policy=policy,
        participant=participant_label,
        workers=n_cpus,
        json=json,
        quiet=quiet,
        verbose=verbose,
    )

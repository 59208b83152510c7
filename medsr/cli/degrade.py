"""medsr degrade"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import say, set_verbosity, write_json
from medsr.cli.options import Input, Json, ModalityChoice, ModalityOption, Quiet, TaskChoice, Verbose, modality_of
from medsr.errors import UsageError

__all__ = ["degrade"]


def degrade(
    scan: Input,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write, .nii.gz.", show_default=False)],
    task: Annotated[TaskChoice, typer.Option("--task", help="The task that the result is for.")] = TaskChoice.denoise,
    noise: Annotated[
        str | None,
        typer.Option("--noise", help="MRI: 5% of the 99.9th percentile of positive voxels, or image units."),
    ] = None,
    dose: Annotated[float | None, typer.Option("--dose", help="CT: fraction of the dose.")] = None,
    scale: Annotated[float | None, typer.Option("--scale", help="In-plane factor.")] = None,
    through: Annotated[float | None, typer.Option("--through", help="Thick slices, in thin ones.")] = None,
    keep: Annotated[int | None, typer.Option("--keep", min=2, help="Keep every n-th slice.")] = None,
    missing: Annotated[str | None, typer.Option("--missing", help="Slices to lose, e.g. 10,11,12.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the noise.")] = 0,
    modality: ModalityOption = ModalityChoice.auto,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a degraded scan with a known operator, which is written beside it as JSON."""
    set_verbosity(verbose=verbose)
    from medsr.pipeline.commands import degrade_file
    from medsr.pipeline.degrade import DegradeRequest

    request = DegradeRequest(
        task.value, scale=scale, through=through, noise=noise, dose=dose, keep=keep, missing=_slices(missing), seed=seed
    )
    document = degrade_file(scan, output, request, modality=modality_of(modality))
    if json:
        write_json(document)
    else:
        say(f"{document['file']} and its operator {document['sidecar']}", quiet=quiet)


def _slices(text: str | None) -> tuple[int, ...]:
    if not text:
        return ()
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError as error:
        raise UsageError("degrade.parameter", f"missing slices {text[:40]!r} are not numbers with commas") from error

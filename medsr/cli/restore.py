"""medsr restore"""

from __future__ import annotations

from typing import Annotated

import typer

from medsr.cli.console import EXIT_OF_WORD, progress_bar, say, set_verbosity, write_json
from medsr.cli.options import (
    ContainerChoice,
    ContainerOption,
    Device,
    DeviceChoice,
    Input,
    Json,
    MethodChoice,
    ModalityChoice,
    ModalityOption,
    NoiseOption,
    OperatorOption,
    Output,
    Overwrite,
    Pick,
    PolicyOption,
    Precision,
    PrecisionChoice,
    Quiet,
    Second,
    TaskChoice,
    Verbose,
    modality_of,
    noise_value,
    slice_numbers,
)

__all__ = ["restore"]


def restore(
    scan: Input,
    output: Output,
    task: Annotated[TaskChoice, typer.Option("--task", help="What to do.")] = TaskChoice.denoise,
    scale: Annotated[float | None, typer.Option("--scale", help="In-plane factor of super-resolution.")] = None,
    through: Annotated[
        float | None, typer.Option("--through", help="Through-plane factor of super-resolution: thick slices to thin.")
    ] = None,
    mask: Annotated[
        str | None,
        typer.Option("--mask", help="Lost slices, counted from 0, instead of those found.", metavar="I,J,.."),
    ] = None,
    method: Annotated[MethodChoice, typer.Option("--method", help="How to restore.")] = MethodChoice.regress,
    fidelity: Annotated[
        float | None, typer.Option("--fidelity", help="GAN: 1 (regressor), 0.75, 0.5, 0.25 or 0 (sharpest).")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Diffusion: samples; the image is their mean.")] = 8,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Diffusion: seed of the samples.")] = 0,
    modality: ModalityOption = ModalityChoice.auto,
    noise: NoiseOption = "auto",
    operator: OperatorOption = None,
    policy: PolicyOption = "research",
    pick: Pick = None,
    to: ContainerOption = ContainerChoice.auto,
    device: Device = DeviceChoice.auto,
    precision: Precision = PrecisionChoice.auto,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of the network.")] = None,
    second: Second = None,
    probe: Annotated[
        bool | None,
        typer.Option(
            "--probe/--no-probe",
            help="Plant discs into at most eight slices and restore those again, to tell the smallest lesion kept. "
            "By default where the policy requires it; without it such a result waits for a reader.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Restore a scan, judge it, and write what the gate allows.

    Exit codes: 0 released, 2 usage, 3 held for review, 4 rejected or blocked, 5 input refused.
    """
    set_verbosity(verbose=verbose)
    from medsr.pipeline.commands import restore_file

    with progress_bar("restoring", quiet=quiet or json) as tick:
        summary = restore_file(
            scan,
            output,
            task=task.value,
            scale=scale,
            through=through,
            mask=slice_numbers(mask),
            method=method.value,
            fidelity=fidelity,
            samples=samples,
            seed=seed,
            modality=modality_of(modality),
            noise=noise_value(noise),
            operator=operator,
            policy=policy,
            pick=pick,
            container=to.value,
            device=device.value,
            precision=precision.value,
            threads=threads,
            second=second,
            probe=probe,
            overwrite=overwrite,
            progress=tick,
        )
    if json:
        write_json(summary.to_json())
    else:
        say(summary.sentence, quiet=quiet)
        say(f"report: {summary.report}", quiet=quiet)
    raise typer.Exit(EXIT_OF_WORD[summary.word])

"""medsr batch and medsr-bids"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medsr.cli.console import EXIT_BATCH, EXIT_HELD, progress_words, say, set_verbosity, write_json
from medsr.cli.options import (
    ContainerChoice,
    ContainerOption,
    Json,
    MethodChoice,
    ModalityChoice,
    ModalityOption,
    NoiseOption,
    PolicyOption,
    Precision,
    PrecisionChoice,
    Quiet,
    RunnerChoice,
    TaskChoice,
    Verbose,
    key_values,
    modality_of,
    noise_value,
    shard_of,
)

if TYPE_CHECKING:
    from medsr.batch.run import BatchSummary

__all__ = ["batch"]


def batch(
    source: Annotated[Path, typer.Argument(help="Folder, text file with a path a line, or BIDS dataset.")],
    output: Annotated[Path, typer.Argument(help="Folder to write; go on where an earlier run stopped.")],
    task: Annotated[TaskChoice, typer.Option("--task", help="What to do.")] = TaskChoice.denoise,
    scale: Annotated[float | None, typer.Option("--scale", help="In-plane factor of super-resolution.")] = None,
    through: Annotated[
        float | None, typer.Option("--through", help="Through-plane factor: thick slices to thin.")
    ] = None,
    method: Annotated[MethodChoice, typer.Option("--method", help="How to restore.")] = MethodChoice.regress,
    fidelity: Annotated[float | None, typer.Option("--fidelity", help="GAN: 1 to 0 in quarters.")] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Diffusion: samples.")] = 8,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Diffusion: seed of the samples.")] = 0,
    modality: ModalityOption = ModalityChoice.auto,
    noise: NoiseOption = "auto",
    policy: PolicyOption = "research",
    to: ContainerOption = ContainerChoice.auto,
    precision: Precision = PrecisionChoice.auto,
    participant: Annotated[
        list[str] | None, typer.Option("--participant-label", help="BIDS subjects, without sub-; repeat for more.")
    ] = None,
    runner: Annotated[RunnerChoice, typer.Option("--runner", help="Where the workers run.")] = RunnerChoice.local,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; one a core by default.")] = None,
    scheduler: Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler.")] = None,
    slurm: Annotated[
        list[str] | None, typer.Option("--slurm", metavar="NAME=VALUE", help="Argument of SLURMCluster; repeatable.")
    ] = None,
    shard: Annotated[str | None, typer.Option("--shard", metavar="I/N", help="Only part I of N of the scans.")] = None,
    time_limit: Annotated[float, typer.Option("--time-limit", min=1, help="Seconds a scan may take.")] = 3600.0,
    memory_limit: Annotated[
        float | None, typer.Option("--memory-limit", min=0.5, help="GiB of private memory a worker may take.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, how long, how much memory.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 if any result is held or rejected.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Restore and judge every scan of a folder, a list or a BIDS dataset.

    One bad scan never stops a run; run it again and it goes on. OUTPUT gets index.html, summary.tsv, a report for
    each scan, and for a BIDS dataset its derivative.

    Exit codes: 0 done, 3 with --strict if a result is held or rejected, 6 if a scan failed.
    """
    set_verbosity(verbose=verbose)
    from medsr.batch.commands import batch_options, trial
    from medsr.batch.pool import Limits
    from medsr.batch.run import Where, run_batch

    options = batch_options(
        task=task.value,
        scale=scale,
        through=through,
        method=method.value,
        fidelity=fidelity,
        samples=samples,
        seed=seed,
        noise=noise_value(noise),
        precision=precision.value,
        policy=policy,
        modality=modality_of(modality),
        container=to.value,
    )
    where = Where(
        runner=runner.value,
        workers=workers or len(os.sched_getaffinity(0)),
        scheduler=scheduler,
        slurm=key_values(slurm),
        shard=shard_of(shard),
        limits=Limits(time_limit, None if memory_limit is None else int(memory_limit * 2**30)),
    )
    people = tuple(participant or ())
    if dry_run:
        estimate = trial(source, output, options, where=where, participants=people)
        if json:
            write_json(estimate.to_json())
        else:
            say(
                f"{estimate.scans} scans ({estimate.unreadable} unreadable), about {estimate.seconds:.0f} s, "
                f"{estimate.peak_mb:.0f} MB a worker",
                quiet=quiet,
            )
        return
    with progress_words("batch", quiet=quiet or json) as tick:
        summary = run_batch(source, output, options, where=where, participants=people, progress=tick)
    _end(summary, json=json, quiet=quiet, strict=strict)


def _end(summary: BatchSummary, *, json: bool, quiet: bool, strict: bool) -> None:
    failed = [row for row in summary.rows if row.status == "failed"]
    if json:
        write_json(summary.to_json())
    else:
        counts = ", ".join(f"{count} {word}" for word, count in sorted(summary.counts.items()))
        say(f"{len(summary.rows)} scans: {counts} ({summary.resumed} done before)", quiet=quiet)
        for row in failed:
            say(f"failed {row.name}: {row.fact} [{row.code}]", quiet=quiet)
        say(f"index: {summary.output / 'index.html'}", quiet=quiet)
    if failed:
        raise typer.Exit(EXIT_BATCH)
    if strict and any(row.word != "released" for row in summary.rows):
        raise typer.Exit(EXIT_HELD)

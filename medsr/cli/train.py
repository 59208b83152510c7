"""medsr train"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medsr.cli.console import say, set_verbosity
from medsr.cli.options import Output, Quiet, Verbose

if TYPE_CHECKING:
    from medsr.train.loop import Report

__all__ = ["train"]


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of one that medsr ships.")],
    data: Annotated[Path, typer.Option("--data", help="Folder of .nii.gz scans.", exists=True, file_okay=False)],
    output: Output,
    start: Annotated[Path | None, typer.Option("--from", help="Bundle to fine-tune.", exists=True)] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0.01, help="Instead of the recipe's.")] = None,
    threads: Annotated[int, typer.Option("--threads", min=1)] = 1,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a bundle; run again after an interruption, it goes on from its last checkpoint.

    The defaults of a GAN end or a bridge are fitted on the recipe's held-out subjects when it ends.
    """
    set_verbosity(verbose=verbose)
    from medsr.models.bundle import load_bundle
    from medsr.train.train import recipe_named
    from medsr.train.train import train as run

    def report(item: Report) -> None:
        gain = "" if item.gain_db is None else f", held-out gain {item.gain_db:+.2f} dB"
        left = f"{item.remaining_s / 60:.1f} min left"
        say(f"step {item.step}, loss {item.loss:.5f}{gain}, {left}", quiet=quiet)

    folder = run(
        recipe_named(recipe),
        data,
        output,
        start=load_bundle(start) if start else None,
        minutes=minutes,
        threads=threads,
        report=report,
        log=lambda line: say(line, quiet=quiet),
    )
    if load_bundle(folder).regressor is not None:
        _tune(folder, data, quiet=quiet)
    say(f"bundle: {folder}", quiet=quiet)


def _tune(folder: Path, data: Path, *, quiet: bool) -> None:
    """Fit the defaults; say so where nobody was held out or the regressor is not installed."""
    from medsr.errors import UsageError
    from medsr.evaluate.fitting import tune_bundle
    from medsr.models.bundle import load_bundle

    try:
        tune_bundle(load_bundle(folder), [data], log=lambda line: say(line, quiet=quiet))
    except UsageError as error:
        if error.code not in ("models.held_out", "bundle.regressor"):
            raise
        say(f"defaults are not fitted, {error.fact}: `medsr models tune {folder.name}` does it", quiet=quiet)

"""medsr calibrate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import say, set_verbosity, write_json
from medsr.cli.options import Json, MethodChoice, Precision, PrecisionChoice, Quiet, TaskChoice, Verbose

__all__ = ["calibrate"]


def calibrate(
    folders: Annotated[
        list[Path], typer.Argument(help="Fold B: scans of strangers, used once.", exists=True, show_default=False)
    ],
    fold_a: Annotated[
        list[Path],
        typer.Option("--fold-a", help="Fold A: scans held out of training; fixes the score.", exists=True),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Calibration folder to write records to.")],
    bundle: Annotated[str | None, typer.Option("--bundle", help="Which bundle; the installed one by default.")] = None,
    task: Annotated[TaskChoice | None, typer.Option("--task", help="One task alone.")] = None,
    method: Annotated[MethodChoice, typer.Option("--method", help="Way to restore.")] = MethodChoice.regress,
    levels: Annotated[
        list[str] | None, typer.Option("--levels", help="Beginning of names: 'MR denoise low', 'CT x2' ...")
    ] = None,
    precision: Precision = PrecisionChoice.auto,
    policies: Annotated[
        list[str] | None, typer.Option("--policy", help="Policies to bind to; clinical and research by default.")
    ] = None,
    beta: Annotated[float, typer.Option("--beta", help="Rate of missed lesions that is promised to stay below.")] = 0.1,
    undeclared: Annotated[
        bool, typer.Option("--undeclared", help="Calibrate scans whose operator nobody declares.")
    ] = False,
    again: Annotated[str, typer.Option("--again", help="Why fold B is used once more.", metavar="TEXT")] = "",
    only: Annotated[list[str] | None, typer.Option("--only", help="Beginnings of file names of fold B.")] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Calibrate the gate on scans of strangers: one lesion each, and a promise of how few are released unseen."""
    set_verbosity(verbose=verbose)
    from medsr.evaluate.calibrate import CalibrationRequest
    from medsr.evaluate.calibrate import calibrate as run

    request = CalibrationRequest(
        fold_b=tuple(folders),
        fold_a=tuple(fold_a),
        output=output,
        bundle=bundle,
        task=task.value if task else None,
        method=method.value,
        levels=tuple(levels or ()),
        precision=precision.value,
        policies=tuple(policies) if policies else ("clinical", "research"),
        beta=beta,
        stated=not undeclared,
        again=again,
        only=tuple(only or ()),
    )
    found = run(request, log=lambda line: say(line, quiet=quiet))
    if json:
        write_json({"records": [{"name": item.name, "sentence": item.sentence} for item in found]})
    else:
        for item in found:
            typer.echo(item.sentence)

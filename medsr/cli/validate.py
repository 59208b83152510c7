"""medsr validate"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medsr.cli.console import EXIT_OF_WORD, say, set_verbosity, write_json
from medsr.cli.options import (
    Input,
    Json,
    ModalityChoice,
    ModalityOption,
    NoiseOption,
    OperatorOption,
    Output,
    Overwrite,
    PolicyOption,
    Quiet,
    Verbose,
    modality_of,
    noise_value,
)

__all__ = ["validate"]


def validate(
    scan: Input,
    candidate: Annotated[Path, typer.Argument(help="Any restoration of that scan.", show_default=False)],
    output: Output,
    modality: ModalityOption = ModalityChoice.auto,
    noise: NoiseOption = "auto",
    operator: OperatorOption = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="An image that counts as true: it can hold, never release.")
    ] = None,
    second: Annotated[
        Path | None, typer.Option("--second", help="Another scan of the same patient, of independent noise.")
    ] = None,
    policy: PolicyOption = "research",
    overwrite: Overwrite = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Judge anybody's restoration of a scan against what was measured; writes a report, never an image.

    Exit codes: 0 no contradiction found, 2 usage, 3 to be reviewed, 4 rejected or blocked, 5 input refused.
    """
    set_verbosity(verbose=verbose)
    from medsr.pipeline.commands import validate_files

    summary = validate_files(
        scan,
        candidate,
        output,
        modality=modality_of(modality),
        noise=noise_value(noise),
        operator=operator,
        reference=reference,
        second=second,
        policy=policy,
        overwrite=overwrite,
    )
    if json:
        write_json(summary.to_json())
    else:
        say(summary.sentence, quiet=quiet)
        say(f"report: {summary.report}", quiet=quiet)
    raise typer.Exit(EXIT_OF_WORD[summary.word])

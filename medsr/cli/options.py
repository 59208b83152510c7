"""The options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medsr.errors import UsageError

__all__ = [
    "ContainerChoice",
    "ContainerOption",
    "Device",
    "Input",
    "Json",
    "MethodChoice",
    "ModalityChoice",
    "ModalityOption",
    "NoiseOption",
    "OperatorOption",
    "Output",
    "Overwrite",
    "Pick",
    "PolicyOption",
    "Precision",
    "Quiet",
    "RunnerChoice",
    "Second",
    "TaskChoice",
    "Verbose",
    "key_values",
    "modality_of",
    "noise_value",
    "shard_of",
    "slice_numbers",
]


class TaskChoice(StrEnum):
    """Tasks of medsr."""

    denoise = "denoise"
    superres = "superres"
    inpaint = "inpaint"


class MethodChoice(StrEnum):
    """Ways to restore."""

    regress = "regress"
    gan = "gan"
    diffusion = "diffusion"


class ModalityChoice(StrEnum):
    """Modality of an input; auto asks the file."""

    auto = "auto"
    ct = "ct"
    mr = "mr"


class DeviceChoice(StrEnum):
    """Where a network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class PrecisionChoice(StrEnum):
    """Number format of the network; everything around it is float32."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


class ContainerChoice(StrEnum):
    """Form of a result; auto is the form of the input."""

    auto = "auto"
    nifti = "nifti"
    dicom = "dicom"


class RunnerChoice(StrEnum):
    """What runs the workers of a batch."""

    local = "local"
    dask = "dask"
    slurm = "slurm"


Input = Annotated[Path, typer.Argument(help="NIfTI file, or DICOM folder, zip or file.", show_default=False)]
Output = Annotated[Path, typer.Option("-o", "--output", help="Folder to write.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, all else on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no messages.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more; tracebacks of internal errors.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier medsr output in this folder.")]
ModalityOption = Annotated[ModalityChoice, typer.Option("--modality", help="What the values are.")]
OperatorOption = Annotated[
    Path | None, typer.Option("--operator", help="Sidecar with the degradation operator, instead of INPUT's own.")
]
Second = Annotated[
    Path | None,
    typer.Option("--second", help="A second scan of the same patient, registered, of independent noise: it judges."),
]
PolicyOption = Annotated[str, typer.Option("--policy", help="Gate policy: research, clinical, or a site's own.")]
NoiseOption = Annotated[
    str, typer.Option("--noise", help="auto, or the noise in image units (HU for CT).", metavar="auto|SIGMA")
]
ContainerOption = Annotated[ContainerChoice, typer.Option("--to", help="Form of the result; auto: that of the input.")]
Pick = Annotated[str | None, typer.Option("--pick", help="Which series of a folder, by its UID or number.")]
Device = Annotated[DeviceChoice, typer.Option("--device", help="Where the network runs.")]
Precision = Annotated[PrecisionChoice, typer.Option("--precision", help="Number format of the network.")]


def modality_of(choice: ModalityChoice) -> str:
    """``auto``, ``CT`` or ``MR`` as the reader takes it."""
    return choice.value if choice is ModalityChoice.auto else choice.value.upper()


def noise_value(text: str) -> float | None:
    """None for ``auto``, else the number.

    Raises
    ------
    UsageError : ``restore.noise``, if it is neither.
    """
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise UsageError("restore.noise", f"noise {text[:20]!r} is neither auto nor a number") from error


def slice_numbers(text: str | None) -> tuple[int, ...] | None:
    """Slice indices of ``"10,11"``; None where nothing is given.

    Raises
    ------
    UsageError : ``restore.slices``, if that is no list of whole numbers.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError("restore.slices", f"mask {text[:40]!r} is no list of slice numbers") from error


def shard_of(text: str | None) -> tuple[int, int] | None:
    """(i, n) of ``"i/n"``.

    Raises
    ------
    UsageError : ``batch.shard``, if that is no part of a whole.
    """
    if text is None:
        return None
    first, _, second = text.partition("/")
    if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
        raise UsageError("batch.shard", f"shard {text[:20]!r} is not I/N with I from 1 to N")
    return int(first), int(second)


def key_values(texts: list[str] | None) -> dict[str, str]:
    """Names and values of ``name=value`` texts.

    Raises
    ------
    UsageError : ``batch.slurm``, if one has no name.
    """
    pairs = [text.partition("=") for text in texts or []]
    if any(not name or not sign for name, sign, _ in pairs):
        raise UsageError("batch.slurm", "an argument of --slurm is not NAME=VALUE")
    return {name: value for name, _, value in pairs}

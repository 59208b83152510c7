"""What the command line calls: files in, an output folder and a short summary out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from medsr.errors import UsageError
from medsr.io import read
from medsr.io.encoding import Container
from medsr.pipeline.degrade import DegradeRequest, degrade, write_degraded
from medsr.pipeline.walk import Result, read_with_operator, restore_volume, validate_volume
from medsr.records import Task, Word
from medsr.restore.request import DEFAULT_SAMPLES, Method, RestoreRequest
from medsr.volume import Modality, Volume

__all__ = ["Summary", "degrade_file", "restore_file", "validate_files"]

Progress = Callable[[int, int], None]
ModalityName = Literal["auto", "CT", "MR"]


@dataclass(frozen=True, slots=True)
class Summary:
    """Where a run ended: the gate's word, one sentence, and the files it left."""

    word: Word
    reasons: tuple[str, ...]
    sentence: str
    findings: int
    output: Path
    report: Path

    def to_json(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "word": self.word,
            "reasons": list(self.reasons),
            "sentence": self.sentence,
            "findings": self.findings,
            "output": str(self.output),
            "report": str(self.report),
            "files": sorted(
                path.relative_to(self.output).as_posix() for path in self.output.rglob("*") if path.is_file()
            ),
        }


def restore_file(
    scan: Path,
    output: Path,
    *,
    task: str,
    scale: float | None,
    through: float | None = None,
    mask: tuple[int, ...] | None = None,
    method: str = "regress",
    fidelity: float | None = None,
    samples: int = DEFAULT_SAMPLES,
    seed: int = 0,
    modality: str = "auto",
    noise: float | None = None,
    operator: Path | None = None,
    policy: str = "research",
    pick: str | None = None,
    container: Container | Literal["auto"] = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    second: Path | None = None,
    probe: bool | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Read, restore, judge and publish one scan into `output`; `second` is an independent scan that judges alone."""
    request = RestoreRequest(
        cast("Task", task),
        scale=scale,
        through=through,
        mask=mask,
        noise=noise,
        method=cast("Method", method),
        fidelity=fidelity,
        samples=samples,
        seed=seed,
        device=cast("Literal['auto', 'cpu', 'cuda']", device),
        precision=cast("Literal['auto', 'fp32', 'bf16']", precision),
        threads=threads,
    )
    volume = read_with_operator(
        scan, modality=_modality(modality), operator=operator, pick=pick, gaps=request.task == "inpaint"
    )
    other = read(second, modality=volume.modality) if second is not None else None
    result = restore_volume(
        volume, request, policy=policy, container=container, second=other, probe=probe, progress=progress
    )
    return _published(result, output, overwrite=overwrite)


def validate_files(
    scan: Path,
    candidate: Path,
    output: Path,
    *,
    modality: str = "auto",
    noise: float | None = None,
    operator: Path | None = None,
    reference: Path | None = None,
    second: Path | None = None,
    policy: str = "research",
    overwrite: bool = False,
) -> Summary:
    """Judge a candidate file against the scan it was made from; writes reports only."""
    measured = read_with_operator(scan, modality=_modality(modality), operator=operator)
    others = [
        None if path is None else read(path, modality=measured.modality) for path in (candidate, reference, second)
    ]
    judged = cast("Volume", others[0])
    result = validate_volume(measured, judged, policy=policy, noise=noise, reference=others[1], second=others[2])
    return _published(result, output, overwrite=overwrite)


def degrade_file(scan: Path, output: Path, request: DegradeRequest, *, modality: str = "auto") -> dict[str, object]:
    """Degrade a file into `output`; returns the names of what was written and the operator.

    Raises
    ------
    UsageError : ``degrade.parameter``, if the output is not a .nii or .nii.gz name.
    """
    if not output.name.endswith((".nii.gz", ".nii")):
        raise UsageError("degrade.parameter", f"output {output.name} does not end in .nii.gz")
    degraded = degrade(read(scan, modality=cast("ModalityName", modality)), request)
    sidecar = write_degraded(degraded, output)
    return {"file": str(output), "sidecar": str(sidecar), **dict(degraded.degradation or {})}


def _published(result: Result, output: Path, *, overwrite: bool) -> Summary:
    result.save(output, overwrite=overwrite)
    return Summary(
        word=result.verdict.word,
        reasons=result.verdict.reasons,
        sentence=result.sentence,
        findings=len(result.judgement.findings),
        output=output,
        report=output / "report.html",
    )


def _modality(name: str) -> Modality | None:
    return None if name == "auto" else cast("Modality", name)

"""The only walker: read, restore, judge, decide, report, publish, in this order, once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from medsr.errors import Refusal, UsageError
from medsr.io import read
from medsr.io.encoding import Container, Stored, as_stored
from medsr.models.bundle import Bundle
from medsr.pipeline.candidate import candidate_restoration
from medsr.records import Judgement, Restoration, Verdict
from medsr.release import Release, advance, decide
from medsr.report.render import render
from medsr.report.words import gate_sentence
from medsr.restore.request import Evidence, RestoreRequest
from medsr.restore.restore import restore
from medsr.settings import settings
from medsr.validation.calibration_use import keep_score
from medsr.validation.judge import judge
from medsr.validation.policy import Policy, load_policy
from medsr.volume import Modality, Source, Volume

__all__ = [
    "Result",
    "candidate_restoration",
    "container_of",
    "evidence_for",
    "form_of",
    "judge_candidate",
    "judge_restoration",
    "read_with_operator",
    "restore_volume",
    "validate_volume",
]

Progress = Callable[[int, int], None]

_EVIDENCE_OF: Mapping[str, Evidence] = {"R9": "probe", "N3": "family", "N5": "hidden"}


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A restored scan with its judgement and verdict, not yet written.

    ``save(folder)`` writes what the verdict allows; nothing else does.
    """

    restoration: Restoration
    stored: Stored | None
    judgement: Judgement
    verdict: Verdict
    policy: Policy
    container: Container = "nifti"

    @property
    def sentence(self) -> str:
        """The gate's word and its reason, as the report says it first."""
        return gate_sentence(self.judgement, self.verdict, task=self.restoration.task)

    @property
    def image(self) -> Volume:
        """The restored scan in memory, with the label of an unreleased result: look at `verdict` before using it."""
        measured = self.restoration.measured
        return Volume(
            values=self.restoration.image,
            geometry=self.restoration.geometry,
            modality=measured.modality,
            unit=measured.unit,
            source=Source(f"{measured.source.name} restored", self.judgement.pixels_sha256 or "0" * 64, "memory"),
            acquisition=measured.acquisition,
            notes=(f"gate: {self.verdict.word}", *((self.verdict.label,) if self.verdict.label else ())),
        )

    def save(self, output: str | Path, *, overwrite: bool = False, name: str | None = None) -> Release:
        """Publish into `output`: the image if released, held/ if it waits for a reader, reports always.

        Parameters
        ----------
        name : of the image without extension; by default that of the scan with ``_restored``.

        Raises
        ------
        UsageError : ``output.not_empty``, ``output.exists``, if the folder holds other things or an earlier result.
        """
        rendered = render(self.restoration, self.judgement, self.verdict, policy=self.policy)
        return advance(
            self.restoration,
            self.judgement,
            self.verdict,
            policy=self.policy,
            stored=self.stored,
            rendered=rendered,
            output=Path(output),
            container=self.container,
            overwrite=overwrite,
            name=name,
        )


def restore_volume(
    volume: Volume,
    request: RestoreRequest,
    *,
    policy: str = "research",
    container: Container | Literal["auto"] = "auto",
    bundle: Bundle | None = None,
    second: Volume | None = None,
    probe: bool | None = None,
    progress: Progress | None = None,
) -> Result:
    """Restore a volume and judge the very values that will be written.

    Parameters
    ----------
    container : the form of the result; ``auto`` is the form of the input.
    second : another scan of the same patient, registered and of independent noise; it judges, it restores nothing.
    probe : plant discs and restore again; where the policy requires it by default.

    Raises
    ------
    UsageError, Refusal : of the rooms on the way; see their functions.
    """
    rules = load_policy(policy)
    form = form_of(volume, container)
    asked = replace(request, evidence=evidence_for(request, rules, probe=probe))
    restored = restore(volume, asked, bundle=bundle, progress=progress)
    return judge_restoration(replace(restored, second=second), policy=policy, container=form)


def form_of(volume: Volume, container: Container | Literal["auto"]) -> Container:
    """The form that a result of this scan is written in.

    Raises
    ------
    UsageError : ``write.no_headers``, if a DICOM series is asked of a scan that has no headers.
    """
    form = container_of(volume) if container == "auto" else container
    if form == "dicom" and volume.source.format != "dicom":
        raise UsageError("write.no_headers", f"{volume.source.name} is no DICOM series to derive one from")
    return form


def evidence_for(request: RestoreRequest, policy: Policy, *, probe: bool | None = None) -> frozenset[Evidence]:
    """What the request names and what the policy's channels need; `probe` decides on the discs alone."""
    required = policy.required_for(request.task, method=request.method)
    needed = {evidence for channel, evidence in _EVIDENCE_OF.items() if channel in required}
    if probe is not None:
        needed = needed - {"probe"} | ({"probe"} if probe else set())
    return request.evidence | frozenset(needed)


def container_of(volume: Volume) -> Container:
    """DICOM for what was read from DICOM, NIfTI for all else."""
    return "dicom" if volume.source.format == "dicom" else "nifti"


def judge_restoration(
    restoration: Restoration, *, policy: str = "research", container: Container | Literal["auto"] = "auto"
) -> Result:
    """Judge a restoration as the values that would be written; it may come from an earlier stage or from elsewhere.

    Raises
    ------
    UsageError : ``policy.unknown``, ``write.no_headers``.
    Refusal : ``policy.broken``.
    """
    return _written(restoration, load_policy(policy), form_of(restoration.measured, container))


def validate_volume(
    measured: Volume,
    candidate: Volume,
    *,
    policy: str = "research",
    noise: float | None = None,
    reference: Volume | None = None,
    second: Volume | None = None,
) -> Result:
    """Judge anybody's restoration of `measured`; nothing is restored. See :mod:`medsr.pipeline.candidate`.

    Without the estimate before projection the range channels judge the candidate itself, and the gate holds.

    Raises
    ------
    UsageError : ``validate.grid``, if no operator maps the candidate's grid to the measurement's.
    """
    load_policy(policy)  # an unknown policy is said before the work
    restoration = candidate_restoration(measured, candidate, reference=reference, second=second, noise=noise)
    return judge_candidate(restoration, policy=policy)


def judge_candidate(restoration: Restoration, *, policy: str = "research") -> Result:
    """Judge a candidate as it is; of its result only reports are written."""
    return _judged(restoration, None, load_policy(policy))


def read_with_operator(
    path: Path,
    *,
    modality: Modality | None = None,
    operator: Path | None = None,
    pick: str | None = None,
    gaps: bool = False,
) -> Volume:
    """Read a scan; `operator` names a sidecar to use instead of the one beside it.

    `gaps` goes on where DICOM slices are missing, which an inpainting then fills.

    Raises
    ------
    Refusal : ``operator.sidecar``, if the file is no operator record.
    """
    volume = read(path, modality=modality or "auto", pick=pick, gaps=gaps)
    return volume if operator is None else replace(volume, degradation=_sidecar(operator))


def _written(restoration: Restoration, policy: Policy, container: Container) -> Result:
    stored = as_stored(
        restoration.image,
        restoration.geometry,
        restoration.measured,
        sigma=restoration.noise.sigma,
        container=container,
    )
    return replace(_judged(replace(restoration, image=stored.values), stored, policy), container=container)


def _judged(restoration: Restoration, stored: Stored | None, policy: Policy) -> Result:
    judgement = judge(restoration, policy_sha256=policy.sha256)
    keep_score(judgement.calibration, judgement.score)
    verdict = decide(
        judgement,
        policy,
        task=restoration.task,
        slice_axis=restoration.geometry.slice_axis,
        method=restoration.model.method if restoration.model else None,
        second=restoration.second is not None,
    )
    return Result(restoration, stored, judgement, verdict, policy)


def _sidecar(path: Path) -> Mapping[str, object]:
    try:
        if path.stat().st_size > settings().max_json_bytes:
            raise Refusal("operator.sidecar", f"{path.name} is larger than {settings().max_json_bytes} bytes")
        record = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Refusal("operator.sidecar", f"{path.name} cannot be read as JSON") from error
    if not isinstance(record, dict):
        raise Refusal("operator.sidecar", f"{path.name} is not a JSON object")
    return record

"""The one function that can make an output visible."""

from __future__ import annotations

import datetime
import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from medsr import __version__
from medsr.errors import IntegrityError, UsageError
from medsr.io.encoding import Container, Stored
from medsr.io.write import DerivedFacts, write_dicom_series, write_nifti
from medsr.records import Judgement, Restoration, Verdict, Word, pixels_sha256
from medsr.release.derived import derived_facts
from medsr.release.record import RECORD_SUFFIX, file_sha256, signed, signing_key
from medsr.release.rendered import Rendered
from medsr.release.transitions import step
from medsr.release.verdict import decide
from medsr.resources import exchange, sync_folder, write_bytes
from medsr.validation.policy import Policy

__all__ = ["HELD", "REPORTS", "Release", "advance", "result_name"]

HELD = "held"
REPORTS = ("report.json", "report.html")
RECORD_SCHEMA = "medsr.record/1"

_SEAL = object()
_OUTPUT = re.compile(
    r"(report\.(json|html)|release\.json|held|withdrawn"
    r"|.*_(desc-)?restored(_[A-Za-z0-9]+)?(\.nii(\.gz)?|\.json|\.medsr\.json)?)"
)


@dataclass(frozen=True, slots=True)
class Release:
    """What `advance` published, and under which word. Made by `advance` alone.

    files are relative to `output`, with their sha256.
    """

    word: Word
    reasons: tuple[str, ...]
    output: Path
    files: tuple[tuple[str, str], ...]
    pixels_sha256: str
    policy_sha256: str
    seal: object = field(repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise IntegrityError("release.forged", "a Release is made by release.advance alone")


def advance(
    restoration: Restoration,
    judgement: Judgement,
    verdict: Verdict,
    *,
    policy: Policy,
    stored: Stored | None,
    rendered: Rendered,
    output: Path,
    container: Container = "nifti",
    overwrite: bool = False,
    name: str | None = None,
) -> Release:
    """Publish a judged result into `output`: all of it, or nothing.

    The verdict is decided again from the judgement and the pixels hashed again; a result that differs from what was
    judged is not written at all. Files appear under a temporary name and move into place in one rename.

    Parameters
    ----------
    stored : the image as it is written; None where a stranger's candidate was judged, of which only reports are kept.
    container : the form that `stored` was made for: one NIfTI file, or a derived DICOM series.
    overwrite : replace an earlier output of medsr in this folder, never anything else.
    name : of the image without extension; by default that of the scan with ``_restored``.

    Raises
    ------
    IntegrityError : ``release.verdict``, ``release.hash``, if verdict or pixels are not those that were judged.
    UsageError : ``output.not_empty``, ``output.not_folder``.
    """
    _check(restoration, judgement, verdict, policy, stored)
    _check_output(output, overwrite=overwrite)
    output.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name[:80]}.", suffix=".part"))
    try:
        staging.chmod(0o755)
        _write(
            staging,
            restoration,
            judgement,
            verdict,
            stored=stored,
            rendered=rendered,
            container=container,
            name=name or result_name(restoration),
        )
        _publish(staging, output)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    files = tuple(
        (path.relative_to(output).as_posix(), file_sha256(path)) for path in sorted(output.rglob("*")) if path.is_file()
    )
    return Release(
        verdict.word, verdict.reasons, output, files, judgement.pixels_sha256, policy.sha256, seal=_SEAL
    )  # fmt: skip


def result_name(restoration: Restoration) -> str:
    """``scan_restored`` for an input named scan.nii.gz, scan.dcm or scan/."""
    name = restoration.measured.source.name
    for suffix in (".nii.gz", ".nii", ".dcm", ".zip"):
        name = name.removesuffix(suffix)
    return f"{name[:100] or 'scan'}_restored"


def _check(
    restoration: Restoration, judgement: Judgement, verdict: Verdict, policy: Policy, stored: Stored | None
) -> None:
    again = decide(
        judgement,
        policy,
        task=restoration.task,
        slice_axis=restoration.geometry.slice_axis,
        method=restoration.model.method if restoration.model else None,
        second=restoration.second is not None,
    )
    if again != verdict or verdict.policy_sha256 != policy.sha256:
        raise IntegrityError("release.verdict", f"the verdict {verdict.word} is not what the policy decides")
    step("judged", "decide", decided=verdict.word)
    if verdict.word == "blocked":
        return
    images = [restoration.image] if stored is None else [restoration.image, stored.values]
    if any(pixels_sha256(image, restoration.geometry) != judgement.pixels_sha256 for image in images):
        raise IntegrityError("release.hash", "the pixels to be written are not those that were judged")


def _check_output(output: Path, *, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError("output.not_folder", f"{output.name} is a file")
    if not output.exists():
        return
    others = sorted(path.name for path in output.iterdir() if not _OUTPUT.fullmatch(path.name))
    if others:
        raise UsageError("output.not_empty", f"{output.name} holds {others[0][:80]}, which medsr did not write")
    if not overwrite and any(output.iterdir()):
        raise UsageError("output.exists", f"{output.name} holds an earlier result")


def _write(
    folder: Path,
    restoration: Restoration,
    judgement: Judgement,
    verdict: Verdict,
    *,
    stored: Stored | None,
    rendered: Rendered,
    container: Container,
    name: str,
) -> None:
    write_bytes(folder / REPORTS[0], rendered.report_json)
    write_bytes(folder / REPORTS[1], rendered.report_html)
    if stored is None or verdict.word not in ("released", "review"):
        return
    place = folder / HELD if verdict.word == "review" else folder
    facts = derived_facts(restoration, judgement, verdict) if container == "dicom" else None
    files = [*_write_image(place, name, restoration, stored, facts), place / f"{name}.json"]
    write_bytes(files[-1], rendered.sidecar)
    record = _record(restoration, judgement, verdict)
    record["files"] = {path.relative_to(place).as_posix(): file_sha256(path) for path in files}
    record["reports"] = {
        title: hashlib.sha256(data).hexdigest()
        for title, data in zip(REPORTS, (rendered.report_json, rendered.report_html), strict=True)
    }
    write_bytes(place / f"{name}{RECORD_SUFFIX}", signed(record, signing_key()))


def _write_image(
    place: Path, name: str, restoration: Restoration, stored: Stored, facts: DerivedFacts | None
) -> tuple[Path, ...]:
    geometry, measured = restoration.geometry, restoration.measured
    if facts is not None:
        return write_dicom_series(place / name, stored.values, geometry, measured, stored, facts)
    write_nifti(place / f"{name}.nii.gz", stored.values, geometry, measured, stored)
    return (place / f"{name}.nii.gz",)


def _record(restoration: Restoration, judgement: Judgement, verdict: Verdict) -> dict[str, object]:
    model = restoration.model
    return {
        "schema": RECORD_SCHEMA,
        "medsr_version": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "input_sha256": restoration.measured.source.sha256,
        "pixels_sha256": judgement.pixels_sha256,
        "task": restoration.task,
        "model": None if model is None else {"bundle": model.bundle, "version": model.version, "sha256": model.sha256},
        "gate": {
            "word": verdict.word,
            "reasons": list(verdict.reasons),
            "label": verdict.label,
            "policy": verdict.policy,
            "policy_sha256": verdict.policy_sha256,
        },
    }


def _publish(staging: Path, output: Path) -> None:
    """Move the finished folder into place; an earlier output gives way only once the new one is whole."""
    for folder in (staging / HELD, staging):
        if folder.is_dir():
            sync_folder(folder)
    if output.is_dir() and any(output.iterdir()):
        exchange(staging, output)
        sync_folder(output.parent)
        shutil.rmtree(staging)
        return
    staging.rename(output)
    sync_folder(output.parent)

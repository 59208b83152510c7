"""What a calibration degrades a subject into, and which subjects may take part."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from medsr.errors import MedsrError, UsageError
from medsr.io import read
from medsr.io.subjects import facts_of, subjects_of
from medsr.models.bundle import Bundle
from medsr.pipeline.degrade import DegradeRequest
from medsr.records import Task
from medsr.validation.strata import NOISE_CLASSES, NoiseClass
from medsr.volume import Modality, Volume

__all__ = [
    "CALIBRATION_LEVELS",
    "CalibrationLevel",
    "Member",
    "check_folds",
    "held_out",
    "levels_of",
    "members_of",
    "one_of_each",
    "readable",
    "request_for",
    "share_of",
    "sites_of",
]

_INSIDE = 0.02
_MOST_SITES = 5


@dataclass(frozen=True, slots=True)
class CalibrationLevel:
    """One degradation of a calibration: a noise class to denoise, or an in-plane factor without added noise."""

    name: str
    task: Task
    modality: Modality
    scale: float | None = None
    noise: NoiseClass | None = None


CALIBRATION_LEVELS: tuple[CalibrationLevel, ...] = tuple(
    level
    for modality in ("MR", "CT")
    for level in (
        *(
            CalibrationLevel(f"{modality} denoise {item.name}", "denoise", modality, noise=item)
            for item in NOISE_CLASSES[modality]
        ),
        CalibrationLevel(f"{modality} x2", "superres", modality, scale=2.0),
        CalibrationLevel(f"{modality} x4", "superres", modality, scale=4.0),
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One file of a subject that may take part."""

    path: Path
    name: str
    subject: str
    site: str
    sha256: str

    def volume(self) -> Volume:
        """The scan."""
        return read(self.path)


def levels_of(beginnings: Sequence[str], *, task: Task | None = None) -> tuple[CalibrationLevel, ...]:
    """The levels of a task whose name starts with one of `beginnings`; all by default.

    Raises
    ------
    UsageError : ``evaluate.level``, if a beginning names none.
    """
    for beginning in beginnings:
        if not any(level.name.startswith(beginning) for level in CALIBRATION_LEVELS):
            names = ", ".join(level.name for level in CALIBRATION_LEVELS)
            raise UsageError("evaluate.level", f"no level of a calibration is called {beginning[:40]!r}: {names}")
    chosen = tuple(beginnings)
    return tuple(
        level
        for level in CALIBRATION_LEVELS
        if (not chosen or level.name.startswith(chosen)) and task in (None, level.task)
    )


def request_for(level: CalibrationLevel, subject: str) -> DegradeRequest:
    """How a subject is degraded: its noise drawn from the class by a hash of its id, evenly in the logarithm."""
    seed = int(hashlib.sha256(f"calibrate {subject} {level.name}".encode()).hexdigest()[:7], 16)
    if level.noise is None:
        return DegradeRequest(level.task, scale=level.scale, seed=seed)
    share = _INSIDE + (1 - 2 * _INSIDE) * share_of(subject, level.name)
    value = level.noise.low * (level.noise.high / level.noise.low) ** share
    if level.modality == "CT":
        return DegradeRequest(level.task, dose=value, seed=seed)
    return DegradeRequest(level.task, noise=f"{100 * value:.4f}%", seed=seed)


def share_of(*words: str) -> float:
    """A number from 0 to 1 (excluded) drawn from a hash."""
    return int(hashlib.sha256(" ".join(("calibrate", *words)).encode()).hexdigest()[:8], 16) / 2**32


def members_of(folder: Path, *, only: tuple[str, ...] = ()) -> list[Member]:
    """Every file below `folder`, with its subject; ``files.csv`` beside the scans names subjects and scanners.

    Raises
    ------
    UsageError : ``evaluate.no_scans``.
    """
    subjects, facts = subjects_of(folder), facts_of(folder)
    members = []
    for path in sorted(folder.rglob("*.nii.gz")):
        key = path.relative_to(folder).as_posix()
        name = path.name.removesuffix(".nii.gz")
        if only and not name.startswith(only):
            continue
        row = facts.get(key) or facts.get(path.name) or {}
        subject = subjects.get(key) or subjects.get(path.name) or name
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        members.append(Member(path, path.name, subject, row.get("scanner", ""), digest))
    if not members:
        raise UsageError("evaluate.no_scans", f"no .nii.gz scan below {folder.name}")
    return members


def held_out(bundle: Bundle, members: Sequence[Member]) -> list[Member]:
    """The members that the bundle's recipe held out of training; all of them where it names none of these.

    A site's own fold A holds subjects that the recipe does not know.
    """
    names = _validation_subjects(bundle)
    known = [member for member in members if member.subject in names]
    return known or list(members)


def one_of_each(members: Sequence[Member]) -> list[Member]:
    """One file a subject, drawn by a hash of its id: n counts subjects."""
    grouped: dict[str, list[Member]] = {}
    for member in members:
        grouped.setdefault(member.subject, []).append(member)
    return [files[int(len(files) * share_of(subject, "file"))] for subject, files in sorted(grouped.items())]


def check_folds(fold_a: Sequence[Member], fold_b: Sequence[Member], bundle: Bundle) -> None:
    """No subject in both folds, and none in fold B that the training knew.

    Raises
    ------
    UsageError : ``calibration.folds``.
    """
    known = {member.subject for member in fold_a} | _validation_subjects(bundle)
    shared = sorted(known & {member.subject for member in fold_b})
    files = {member.sha256 for member in fold_a} & {member.sha256 for member in fold_b}
    if shared or files:
        raise UsageError("calibration.folds", f"{len(shared) or len(files)} subjects of fold B are no strangers")


def sites_of(members: Sequence[Member]) -> str:
    """The mixture of scanners, most frequent first; nothing where none is known."""
    counts = Counter(member.site for member in members if member.site)
    if not counts:
        return ""
    words = [f"{count} {site}" for site, count in counts.most_common(_MOST_SITES)]
    rest = sum(counts.values()) - sum(count for _, count in counts.most_common(_MOST_SITES))
    return ", ".join(words + ([f"{rest} others"] if rest else []))


def readable(member: Member) -> Volume | str:
    """The scan, or the code for which it is not read."""
    try:
        return member.volume()
    except MedsrError as error:
        return error.code


def _validation_subjects(bundle: Bundle) -> frozenset[str]:
    path = bundle.folder / "recipe.yaml"
    if not path.is_file():
        return frozenset()
    recipe: Mapping[str, object] | None = yaml.safe_load(path.read_text(encoding="utf-8"))
    names = (recipe or {}).get("validation_subjects", [])
    return frozenset(str(name) for name in names) if isinstance(names, list) else frozenset()

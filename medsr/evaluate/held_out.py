"""Scans of the training folders, by whether a bundle's recipe kept their subject out of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from medsr.errors import MedsrError, Refusal, UsageError
from medsr.evaluate.scans import EvaluationScan
from medsr.io import read
from medsr.io.subjects import subjects_of
from medsr.models.bundle import Bundle

__all__ = ["held_out_scans", "held_out_subjects", "scans_by_subject"]

_SMALLEST_SIDE = 64


def held_out_subjects(bundle: Bundle) -> tuple[str, ...]:
    """Beginnings of the subjects that the recipe of a bundle kept out of training.

    Raises
    ------
    Refusal : ``bundle.broken``, if its recipe cannot be read.
    """
    try:
        record = yaml.safe_load((bundle.folder / "recipe.yaml").read_text(encoding="utf-8"))
        return tuple(str(subject) for subject in record.get("validation_subjects") or ())
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError) as error:
        raise Refusal("bundle.broken", f"{bundle.name} has no readable recipe") from error


def held_out_scans(bundle: Bundle, folders: Sequence[Path], *, most: int) -> list[EvaluationScan]:
    """Scans of the held-out subjects of a bundle's modality, at most so many a subject.

    Raises
    ------
    UsageError : ``models.held_out``, if the recipe kept nobody out or none of them is in the folders.
    """
    subjects = held_out_subjects(bundle)
    scans = (
        list(scans_by_subject(folders, subjects, out=False, modality=bundle.modality, most=most)) if subjects else []
    )
    if not scans:
        named = ", ".join(folder.name for folder in folders)
        raise UsageError("models.held_out", f"no scan of the {len(subjects)} held-out subjects is in {named}")
    return scans


def scans_by_subject(
    folders: Sequence[Path], beginnings: tuple[str, ...], *, out: bool, modality: str, most: int
) -> Iterator[EvaluationScan]:
    """Readable scans whose subject starts with one of `beginnings`, or (`out`) with none; at most so many a subject.

    Subjects are told as in training: by ``files.csv`` beside the scans, else by the file's name.
    """
    taken: dict[str, int] = {}
    for folder in folders:
        table = subjects_of(folder)
        for path in sorted(folder.rglob("*.nii.gz")):
            key = path.relative_to(folder).as_posix()
            subject = table.get(key) or table.get(path.name) or path.name.split(".")[0]
            if subject.startswith(beginnings) == out or taken.get(subject, 0) >= most:
                continue
            try:
                volume = read(path)
            except MedsrError:
                continue
            sides = [volume.geometry.shape[axis] for axis in volume.geometry.in_plane_axes]
            if volume.modality == modality and min(sides) >= _SMALLEST_SIDE:
                taken[subject] = taken.get(subject, 0) + 1
                name = path.name.removesuffix(".nii.gz")
                yield EvaluationScan(name, subject, "domain", "seen", volume)

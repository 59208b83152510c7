"""BIDS datasets in, BIDS derivatives out (BIDS 1.10, sections 'Common data types' and 'Derivatives')."""

from __future__ import annotations

import json
from pathlib import Path

from medsr import __version__
from medsr.batch.item import BidsPlace, Item
from medsr.errors import MissingExtra, UsageError
from medsr.io.text import shown
from medsr.resources import write_bytes

__all__ = ["bids_items", "is_bids", "write_description"]

_DESCRIPTION = "dataset_description.json"
_SUFFIXES = ("T1w", "T2w", "PDw", "FLAIR", "T2starw", "inplaneT1", "inplaneT2", "PDT2", "angio", "UNIT1")
_VERSION = "1.10.0"


def is_bids(folder: Path) -> bool:
    """True for a folder with a dataset_description.json of a raw dataset or a derivative."""
    return (folder / _DESCRIPTION).is_file()


def bids_items(dataset: Path, participants: tuple[str, ...] = ()) -> list[Item]:
    """The anatomical images of a BIDS dataset.

    Raises
    ------
    UsageError : ``batch.participants``, if a label is not among the dataset's subjects.
    MissingExtra : ``batch.bids_extra``, without ancpbids.
    """
    try:
        import ancpbids
    except ImportError as error:
        raise MissingExtra("batch.bids_extra", "reading a BIDS dataset needs ancpbids") from error
    layout = ancpbids.BIDSLayout(str(dataset.absolute()))
    wanted = tuple(label.removeprefix("sub-") for label in participants)
    known = set(layout.get_subjects())
    unknown = sorted(set(wanted) - known)
    if unknown:
        fact = f"no subject {shown(unknown[0])} among the {len(known)} of {shown(dataset.name)}"
        raise UsageError("batch.participants", fact)
    found = layout.get(suffix=list(_SUFFIXES), extension=[".nii", ".nii.gz"], return_type="filename")
    items = [_item(dataset.absolute(), Path(name)) for name in found]
    return [item for item in items if not wanted or item.name.split("/")[0].removeprefix("sub-") in wanted]


def write_description(output: Path, source: Path) -> None:
    """dataset_description.json, README and .bidsignore of a derivative dataset."""
    record = {
        "Name": f"medsr restoration of {_name_of(source)}",
        "BIDSVersion": _VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [
            {
                "Name": "medsr",
                "Version": __version__,
                "Description": "Restored images, each judged by a gate before release; see scans/*/report.html.",
            }
        ],
        "SourceDatasets": [{"URL": source.absolute().as_uri()}],
        "DatasetLinks": {"raw": source.absolute().as_uri()},
    }
    write_bytes(output / _DESCRIPTION, json.dumps(record, indent=2, ensure_ascii=False).encode() + b"\n")
    write_bytes(output / "README.md", _README)
    write_bytes(output / ".bidsignore", _IGNORED)


_IGNORED = b"""scans
scans/**
thumbnails
thumbnails/**
index.html
summary.tsv
run*.jsonl
**/*.medsr.json
"""

_README = b"""# Restored images

Made by medsr. Every image in the sub-* folders was let out by the gate or by a named reader. What waits for a reader
stands under scans/*/held, and index.html lists every scan with its verdict. Research software, not a medical device.
"""


def _item(dataset: Path, path: Path) -> Item:
    absolute = path if path.is_absolute() else dataset / path
    relative = absolute.relative_to(dataset)
    stem = relative.name.removesuffix(".gz").removesuffix(".nii")
    head, _, suffix = stem.rpartition("_")
    place = BidsPlace(relative.parent.as_posix(), head, suffix)
    return Item((relative.parent / stem).as_posix(), str(absolute), bids=place)


def _name_of(source: Path) -> str:
    try:
        name = json.loads((source / _DESCRIPTION).read_bytes()).get("Name")
    except (OSError, ValueError, AttributeError):
        name = None
    return name if isinstance(name, str) and name else source.name

"""The nouns of a run: what is to be done, and what became of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from medsr import __version__
from medsr.errors import Refusal
from medsr.io.encoding import Container
from medsr.models.catalogue import installed
from medsr.restore.request import RestoreRequest
from medsr.validation.policy import load_policy

__all__ = ["OUTPUT_VERSION", "BatchOptions", "BidsPlace", "Item", "Pins", "Row", "key_of"]

OUTPUT_VERSION = 1
"""Part of every key: a change of what is written makes all scans new."""


@dataclass(frozen=True, slots=True)
class BidsPlace:
    """Where a scan lies in a BIDS dataset.

    folder is relative to the dataset (``sub-01/anat``); stem is the name without suffix and extension
    (``sub-01_acq-x``); suffix is ``T1w`` and its like.
    """

    folder: str
    stem: str
    suffix: str

    @property
    def restored_name(self) -> str:
        """Name of the derivative without extension."""
        return f"{self.stem}_desc-restored_{self.suffix}"


@dataclass(frozen=True, slots=True)
class Item:
    """One scan of a run.

    Parameters
    ----------
    name : path relative to what was given, without extension; unique in the run, and the output folder's name.
    path : absolute path of the file or folder.
    pick : which stack of a DICOM folder, or None.
    bids : its place in a BIDS dataset, or None.
    """

    name: str
    path: str
    pick: str | None = None
    bids: BidsPlace | None = None


@dataclass(frozen=True, slots=True)
class Pins:
    """What may not change while a run goes on: hashes of bundles and policy."""

    bundles: tuple[str, ...]
    policy: str

    @classmethod
    def now(cls, policy: str) -> Pins:
        """The pins of this moment."""
        return cls(tuple(sorted(bundle.sha256 for bundle in installed())), load_policy(policy).sha256)


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What is asked of every scan alike."""

    request: RestoreRequest
    policy: str = "research"
    modality: str = "auto"
    container: Container | Literal["auto"] = "auto"

    def to_record(self) -> dict[str, object]:
        """Everything that decides an output; threads and device do not."""
        request = dataclasses.asdict(self.request)
        for name in ("threads", "device"):
            request.pop(name)
        request["evidence"] = sorted(self.request.evidence)
        return {"request": request, "policy": self.policy, "modality": self.modality, "container": self.container}


def key_of(item: Item, input_sha256: str, options: BatchOptions, pins: Pins) -> str:
    """The name of a deed: same scan, input bytes, bundles, configuration, policy and output version, same key."""
    facts = {
        "name": item.name,
        "input": input_sha256,
        "options": options.to_record(),
        "pins": dataclasses.asdict(pins),
        "version": OUTPUT_VERSION,
        "medsr": __version__,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one scan: a line of run.jsonl and of summary.tsv.

    Parameters
    ----------
    status : ``done`` (judged, whatever the word) or ``failed``.
    word, label, reasons, sentence, findings : of the gate; empty where the scan failed.
    code, fact, remedy : why it failed; empty where it did not.
    output : folder of the result, relative to the run's.
    files : sha256 by path relative to that folder.
    seconds, cpu_seconds, peak_mb : of the scan, peak resident memory of its worker.
    """

    name: str
    key: str
    status: Literal["done", "failed"]
    word: str = ""
    label: str = ""
    reasons: tuple[str, ...] = ()
    sentence: str = ""
    findings: int = 0
    modality: str = ""
    shape: tuple[int, ...] = ()
    noise_sigma: float | None = None
    code: str = ""
    fact: str = ""
    remedy: str = ""
    output: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    attempts: int = 1

    def to_json(self) -> dict[str, object]:
        """As a JSON object."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, object]) -> Row:
        """A row that :meth:`to_json` made.

        Raises
        ------
        Refusal : ``batch.row``, if it is none.
        """
        names = {item.name for item in dataclasses.fields(cls)}
        if not {"name", "key", "status"} <= set(record) <= names or not isinstance(record.get("files", {}), dict):
            raise Refusal("batch.row", "a row of an earlier run does not hold together")
        values = dict(record)
        for name in ("reasons", "shape"):
            values[name] = tuple(cast("list[object]", values.get(name, [])))
        return cls(**values)  # type: ignore[arg-type]  # names are checked above

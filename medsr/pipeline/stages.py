"""A restoration kept between two stages of a job, so that a restart only judges: restoration.npz and restoration.json.

The JSON file is written last and holds the key, the sha256 of each array and its own; a kill leaves both or no JSON.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr.errors import IntegrityError, MedsrError
from medsr.pipeline.kept import decoded, encoded
from medsr.records import Restoration
from medsr.resources import write_bytes, writing

__all__ = ["Kept", "keep", "kept_or_restored", "load_kept", "stage_key"]

_SCHEMA = "medsr.restoration/1"
_ARRAYS, _RECORD = "restoration.npz", "restoration.json"
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the restoration of a job is kept, and for which input, bundle and configuration."""

    folder: Path
    key: str


def stage_key(*, input_sha256: str, bundle_sha256: str, configuration_sha256: str) -> str:
    """What a restoration depends on, as one hash: equal keys give equal pixels."""
    return hashlib.sha256(f"{_SCHEMA} {input_sha256} {bundle_sha256} {configuration_sha256}".encode()).hexdigest()


def keep(restoration: Restoration, kept: Kept) -> None:
    """Write a restoration: arrays first, then the record that makes them count."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    body = encoded(restoration, arrays)
    hashes = {name: _sha256(array) for name, array in arrays.items()}
    record = {"schema": _SCHEMA, "key": kept.key, "arrays": hashes, "restoration": body}
    with writing(kept.folder / _ARRAYS, mode=_PRIVATE) as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    text = _canonical(record)
    document = {**record, "sha256": hashlib.sha256(text).hexdigest()}
    write_bytes(kept.folder / _RECORD, _canonical(document), mode=_PRIVATE)


def load_kept(kept: Kept) -> Restoration | None:
    """The restoration kept there for that key; None where there is none, or one for another key.

    Raises
    ------
    IntegrityError : ``stage.broken``, if the files are not what :func:`keep` wrote.
    """
    try:
        document = json.loads((kept.folder / _RECORD).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _broken("the record is no JSON") from error
    if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
        raise _broken("the record has no schema that is known")
    stated = document.pop("sha256", None)
    if hashlib.sha256(_canonical(document)).hexdigest() != stated:
        raise _broken("the record is not as it was written")
    return _restoration(document, kept) if document["key"] == kept.key else None


def kept_or_restored(make: Callable[[], Restoration], kept: Kept | None) -> tuple[Restoration, bool]:
    """The kept restoration and True, else a new one, which is kept, and False; a damaged one is made anew."""
    found = None
    if kept is not None:
        try:
            found = load_kept(kept)
        except IntegrityError:
            found = None
    if found is not None:
        return found, True
    made = make()
    if kept is not None:
        keep(made, kept)
    return made, False


def _restoration(document: Mapping[str, object], kept: Kept) -> Restoration:
    try:
        hashes = document["arrays"]
        with (kept.folder / _ARRAYS).open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if not isinstance(hashes, dict) or {name: _sha256(array) for name, array in arrays.items()} != hashes:
            raise _broken("the arrays are not those of the record")
        found = decoded(document["restoration"], arrays)
    except IntegrityError:
        raise
    except (
        OSError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        zipfile.BadZipFile,
        MedsrError,
    ) as error:
        raise _broken("record and arrays do not hold together") from error
    if not isinstance(found, Restoration):
        raise _broken("the record holds no restoration")
    return found


def _sha256(array: npt.NDArray[np.generic]) -> str:
    """Of shape, type, order and bytes."""
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} {fortran}".encode())
    digest.update(np.ascontiguousarray(array.T if fortran else array).data.cast("B"))
    return digest.hexdigest()


def _canonical(record: Mapping[str, object]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def _broken(fact: str) -> IntegrityError:
    return IntegrityError("stage.broken", fact)

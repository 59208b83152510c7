"""A reader's decision on a held or released result. It stands beside the files and changes none of them."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from medsr.errors import IntegrityError, UsageError
from medsr.release.publication import HELD, REPORTS
from medsr.release.record import RECORD_SUFFIX, file_sha256, parse_signed, signed, signing_key, verify_file
from medsr.release.transitions import STATES, State, step
from medsr.resources import sync_folder, write_bytes

__all__ = ["DECISION", "Decision", "decide_held", "state_of"]

DECISION = "release.json"
WITHDRAWN = "withdrawn"
_SCHEMA = "medsr.release/1"
_LONGEST = 500

ReaderEvent = Literal["approve", "refuse", "withdraw"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reader decided and where the result stands after it."""

    state: State
    reader: str
    reason: str
    event: ReaderEvent


def decide_held(folder: Path, *, reader: str, reason: str, event: ReaderEvent) -> Decision:
    """Approve or refuse what is held in `folder`, or withdraw what was released.

    The decision is written and signed first; then files move out of held/ (approve), into withdrawn/ (withdraw) or
    are removed (refuse), the image last. Called again after an interruption it finishes the move.

    Raises
    ------
    UsageError : ``release.decision`` without a reader or a reason, ``release.none`` if nothing was judged here.
    TransitionError : ``release.transition``, if the state does not allow it.
    IntegrityError : ``record.hash`` and others, if the files are not those that were judged.
    """
    for name, text in (("reader", reader), ("reason", reason)):
        if not text.strip() or len(text) > _LONGEST or not text.isprintable():
            raise UsageError("release.decision", f"the {name} must be 1 to {_LONGEST} printable characters")
    state, decisions = _history(folder)
    if decisions and decisions[-1]["event"] == event and _unfinished(folder, state):
        _move(folder, state)
        return Decision(state, reader, reason, event)
    after = step(state, event)
    place = folder / HELD if state == "review" else folder
    record = _record_in(place)
    verify_file(record)
    decisions.append(
        {
            "event": event,
            "state": after,
            "reader": reader,
            "identity": "stated",
            "reason": reason,
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "record": record.name,
            "record_sha256": file_sha256(record),
            "files": parse_signed(record)["files"],
        }
    )
    entry = {"schema": _SCHEMA, "state": after, "decisions": decisions}
    write_bytes(folder / DECISION, signed(entry, signing_key()))
    _move(folder, after)
    return Decision(after, reader, reason, event)


def state_of(folder: Path) -> State:
    """Where the result in an output folder stands: the last decision, else the gate's own word.

    Raises
    ------
    UsageError : ``release.none``.
    IntegrityError : ``record.broken``, ``record.signature``.
    """
    return _history(folder)[0]


def _history(folder: Path) -> tuple[State, list[dict[str, object]]]:
    decision = folder / DECISION
    if decision.is_file():
        entry = parse_signed(decision)
        return _state(entry.get("state"), decision), list(cast(list[dict[str, object]], entry["decisions"]))
    report = folder / REPORTS[0]
    if not report.is_file():
        raise UsageError("release.none", f"{folder.name} holds no judged result")
    try:
        gate = json.loads(report.read_bytes())["gate"]
        word = cast(Mapping[str, object], gate)["word"]
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError("record.broken", f"{report.name} has no gate's word") from error
    return _state(word, report), []


def _state(value: object, path: Path) -> State:
    for state in STATES:
        if value == state:
            return state
    raise IntegrityError("record.broken", f"{path.name} names no state that medsr knows")


def _record_in(place: Path) -> Path:
    records = sorted(place.glob(f"*{RECORD_SUFFIX}")) if place.is_dir() else []
    if len(records) != 1:
        raise UsageError("release.none", f"{place.name} holds {len(records)} signed records, not one")
    return records[0]


def _unfinished(folder: Path, state: State) -> bool:
    held = (folder / HELD).is_dir()
    outside = any(folder.glob(f"*{RECORD_SUFFIX}"))
    return (state in ("released", "rejected") and held) or (state == "withdrawn" and outside)


def _move(folder: Path, state: State) -> None:
    if state == "rejected":
        shutil.rmtree(folder / HELD)
        sync_folder(folder)
        return
    source, target = (folder / HELD, folder) if state == "released" else (folder, folder / WITHDRAWN)
    record = _record_in(source)
    files = cast(Mapping[str, str], parse_signed(record)["files"])
    names = sorted({name.split("/")[0] for name in files}, key=lambda name: not name.endswith(".json"))
    target.mkdir(exist_ok=True)
    # The record moves last: while it is in the old place, an interrupted move is recognised and finished.
    for name in names:
        if (source / name).exists():
            (source / name).rename(target / name)
    record.rename(target / record.name)
    sync_folder(target)
    if source.name == HELD:
        source.rmdir()
    sync_folder(folder)

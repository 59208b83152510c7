"""`medsr calibrate`: fold A fixes one score, fold B walks its threshold once, and a record keeps the promise."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from medsr.errors import UsageError
from medsr.evaluate.calibration_plan import (
    CalibrationLevel,
    Member,
    check_folds,
    held_out,
    levels_of,
    members_of,
    one_of_each,
    sites_of,
)
from medsr.evaluate.calibration_subject import SALT, Entry, Shown, entries_of
from medsr.models import catalogue
from medsr.models.bundle import Bundle, find_bundle
from medsr.models.engine import Precision
from medsr.pipeline.walk import evidence_for
from medsr.records import Task
from medsr.resources import write_bytes
from medsr.restore.request import Evidence, Method, RestoreRequest
from medsr.validation.calibration import ScoredSubject, normalise, null_thresholds
from medsr.validation.calibration_record import Binding, CalibrationRecord
from medsr.validation.policy import Policy, load_policy
from medsr.validation.strata import Stratum

__all__ = ["Calibrated", "CalibrationRequest", "calibrate"]

Log = Callable[[str], None]

_FEWEST_CLEAN = 4
_LIFETIME = datetime.timedelta(days=365)


@dataclass(frozen=True, slots=True)
class CalibrationRequest:
    """Which folders calibrate what.

    Parameters
    ----------
    fold_b, fold_a : folders of scans; of fold A those subjects that the bundle's recipe held out, where it names any.
    output : calibration folder to write records to.
    bundle : by name; the installed one of modality, task and method by default.
    levels : beginnings of names of levels; task restricts them.
    policies : names; a subject that any of them would release counts as released.
    stated : leave the operator of the degradation declared beside the scan, as `medsr degrade` does.
    again : why fold B is used although an earlier record used it.
    only : beginnings of file names of fold B.
    """

    fold_b: tuple[Path, ...]
    fold_a: tuple[Path, ...]
    output: Path
    bundle: str | None = None
    task: Task | None = None
    method: Method = "regress"
    levels: tuple[str, ...] = ()
    precision: Precision = "auto"
    policies: tuple[str, ...] = ("clinical", "research")
    beta: float = 0.1
    stated: bool = True
    again: str = ""
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """One record that was written, or the reason why a stratum has none."""

    name: str
    record: CalibrationRecord | None
    reason: str = ""

    @property
    def sentence(self) -> str:
        """For the terminal."""
        if self.record is None:
            return f"{self.name}: no record, {self.reason}"
        if self.record.refusal:
            return f"{self.name}: {self.record.refusal}. {self.record.sentence}"
        certificate = self.record.certificate
        held = f"threshold {certificate.threshold:g}, {100 * certificate.held:.0f} % of clean subjects held"
        return f"{self.name}: {held}. {self.record.sentence}"


def calibrate(request: CalibrationRequest, *, log: Log) -> list[Calibrated]:
    """Every level, one after the other; what was finished before is taken up again.

    Raises
    ------
    UsageError : ``calibration.folds``, ``calibration.used``, ``evaluate.level``, ``evaluate.no_scans``,
        ``bundle.none``, ``bundle.unknown``.
    """
    if not 0 < request.beta < 1:
        raise UsageError("calibration.folds", f"beta {request.beta:g} is not between 0 and 1")
    policies = [load_policy(name) for name in request.policies]
    everyone = [member for folder in request.fold_b for member in members_of(folder, only=request.only)]
    known = [member for folder in request.fold_a for member in members_of(folder)]
    modalities = {volume.modality for volume in (member.volume() for member in everyone[:1])}
    results: list[Calibrated] = []
    for level in levels_of(request.levels, task=request.task):
        if level.modality not in modalities:
            continue
        bundle = _bundle(request, level)
        if bundle is None:
            continue
        fold_a, fold_b = held_out(bundle, known), one_of_each(everyone)
        check_folds(fold_a, fold_b, bundle)
        _check_unused(request, level, bundle)
        walk = _Walk(request, level, bundle, policies, log)
        walk.take("A", fold_a)
        walk.take("B", fold_b)
        results += walk.records({member.sha256: member for member in fold_b})
    return results


class _Walk:
    """One level: entries of both folds, kept on disk subject by subject, and the records that they give."""

    def __init__(
        self, request: CalibrationRequest, level: CalibrationLevel, bundle: Bundle, policies: list[Policy], log: Log
    ) -> None:
        self.request, self.level, self.bundle, self.policies, self._log = request, level, bundle, policies, log
        asked = RestoreRequest(
            level.task, scale=level.scale, method=bundle.method, precision=request.precision, threads=1
        )
        needed = frozenset[Evidence]().union(*(evidence_for(asked, policy) for policy in policies))
        self._options = replace(asked, evidence=needed)
        name = f"{level.name.replace(' ', '-').lower()}-{bundle.method}-{request.precision}-{request.stated}.jsonl"
        self._kept = request.output / bundle.sha256[:12] / "unfinished" / name
        self._plan = self._digest()
        self._bindings: dict[str, Binding] = {}
        self._entries: dict[tuple[str, str], tuple[Entry, ...]] = {}
        self._read()

    def take(self, fold: str, members: Sequence[Member]) -> None:
        """Every subject of a fold that is not there yet."""
        for member in members:
            key = (fold, member.sha256)
            if key in self._entries:
                continue
            started = time.process_time()
            found = entries_of(
                fold, member, self.level, options=self._options, bundle=self.bundle, policies=self.policies,
                stated=self.request.stated,
            )  # fmt: skip
            self._keep(key, found)
            words = ", ".join(entry.note or _word(entry) for entry, _ in found)
            self._log(f"{self.level.name}, fold {fold}, {member.name}: {words} ({time.process_time() - started:.1f} s)")

    def records(self, members: Mapping[str, Member]) -> list[Calibrated]:
        """A record of every stratum that fold B reaches; unfinished entries go once they are written."""
        entries = [entry for found in self._entries.values() for entry in found]
        names = dict.fromkeys(entry.record for entry in entries if entry.fold == "B" and entry.clean is not None)
        results = []
        for name in names:
            result = self._record(name, [entry for entry in entries if entry.record == name], members)
            results.append(result)
            if result.record is not None:
                write_bytes(self.request.output / name, result.record.to_bytes())
            self._log(result.sentence)
        for entry in (item for item in entries if item.fold == "B" and item.clean is None):
            self._log(f"{self.level.name}: {entry.file} left out, {entry.note}")
        if not names:
            self._log(f"{self.level.name}: no subject of fold B could be judged")
        self._kept.unlink(missing_ok=True)
        if self._kept.parent.is_dir() and not any(self._kept.parent.iterdir()):
            self._kept.parent.rmdir()
        return results

    def _record(self, name: str, mine: Sequence[Entry], members: Mapping[str, Member]) -> Calibrated:
        task, method = self.level.task, self.bundle.method
        named = (name for policy in self.policies for name in policy.required_for(task, method=method))
        required = tuple(dict.fromkeys(named))
        fold_a, fold_b = ([entry for entry in mine if entry.fold == fold] for fold in "AB")
        clean = [values for entry in fold_a if (values := _shown(entry.clean).values) and _has(values, required)]
        if len(clean) < _FEWEST_CLEAN:
            return Calibrated(name, None, f"{len(clean)} clean slices of fold A, {_FEWEST_CLEAN} are the fewest")
        limits = {name: limit for entry in fold_a for name, limit in _shown(entry.clean).limits.items()}
        normal = normalise(clean, required, limits=limits)
        null = sorted({channel for entry in mine for channel in _shown(entry.clean).uncalibrated})
        thresholds = null_thresholds([_shown(entry.clean).values for entry in fold_a], null)
        spreads = sorted(spread for entry in fold_a if (spread := _shown(entry.clean).spread) is not None)
        day = datetime.datetime.now(datetime.UTC).date()
        record = CalibrationRecord(
            binding=self._bindings[name],
            policies={policy.name: policy.sha256 for policy in self.policies},
            normalisation=normal,
            null_thresholds=thresholds,
            spread=spreads[len(spreads) // 2] if spreads else math.nan,
            beta=self.request.beta,
            subjects=tuple(
                ScoredSubject(
                    entry.subject,
                    _score(_shown(entry.clean), normal.score, required),
                    _score(_shown(entry.planted), normal.score, required),
                    _held(_shown(entry.clean), thresholds),
                    _held(_shown(entry.planted), thresholds),
                )
                for entry in sorted(fold_b, key=lambda item: item.subject)
            ),
            created=day,
            expires=day + _LIFETIME,
            folds={fold: {entry.file: entry.sha256 for entry in mine if entry.fold == fold} for fold in "AB"},
            sites=sites_of([members[entry.sha256] for entry in fold_b]),
            again=self.request.again,
        )
        return Calibrated(name, record)

    def _digest(self) -> str:
        """What an unfinished entry must share with this walk."""
        words = [SALT, self.bundle.sha256, repr(self._options), repr(self.level), str(self.request.stated)]
        words += [policy.sha256 for policy in self.policies]
        return hashlib.sha256("\n".join(words).encode()).hexdigest()

    def _read(self) -> None:
        if not self._kept.is_file():
            return
        for line in self._kept.read_text(encoding="utf-8").splitlines():
            try:
                stored = json.loads(line)
            except ValueError:
                continue  # a kill while a line was written
            if stored.get("plan") == self._plan:
                pairs = [(_entry(entry), binding and _binding(binding)) for entry, binding in stored["found"]]
                self._remember(tuple(stored["key"]), pairs)

    def _remember(self, key: tuple[str, str], found: Sequence[tuple[Entry, Binding | None]]) -> None:
        self._entries[key] = tuple(entry for entry, _ in found)
        self._bindings |= {binding.name: binding for _, binding in found if binding is not None}

    def _keep(self, key: tuple[str, str], found: Sequence[tuple[Entry, Binding | None]]) -> None:
        self._remember(key, found)
        pairs = [(asdict(entry), binding and asdict(binding)) for entry, binding in found]
        line = json.dumps({"plan": self._plan, "key": list(key), "found": pairs}, allow_nan=False)
        self._kept.parent.mkdir(parents=True, exist_ok=True)
        with self._kept.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


_NOTHING = Shown({}, {}, (), (), None)


def _bundle(request: CalibrationRequest, level: CalibrationLevel) -> Bundle | None:
    """The bundle that is calibrated at a level; None where the named one does not serve it."""
    if request.bundle is None:
        return find_bundle(level.modality, task=level.task, method=request.method)
    bundle = catalogue.named(request.bundle)
    serves = bundle.modality == level.modality and level.task in bundle.tasks and bundle.plane == "inplane"
    return bundle if serves else None


def _check_unused(request: CalibrationRequest, level: CalibrationLevel, bundle: Bundle) -> None:
    """Fold B is used once: a record of this level that lies there has used it."""
    noise = level.noise.name if level.noise else "own"
    pattern = f"{level.task}-{level.modality.lower()}-x{level.scale or 1:g}-{noise}-*.json"
    folder = request.output / bundle.sha256[:12]
    undeclared = not request.stated
    earlier = [
        path.name
        for path in folder.glob(pattern)
        if ("-undeclared-" in path.name) == undeclared
        and (request.precision == "auto" or path.name.endswith(f"-{request.precision}.json"))
    ]
    if earlier and not request.again:
        raise UsageError("calibration.used", f"{earlier[0]} was calibrated before")


def _binding(stored: Mapping[str, object]) -> Binding:
    parts = dict(stored)
    stratum = Stratum(**cast(dict[str, str], parts.pop("stratum")))  # type: ignore[arg-type]  # written by this class
    return Binding(**parts, stratum=stratum)  # type: ignore[arg-type]  # written by this class


def _word(entry: Entry) -> str:
    shown = entry.planted or entry.clean
    what = "lesion " if entry.planted else "clean "
    return what + ("held" if shown is not None and shown.reasons else "not held by any channel")


def _shown(shown: Shown | None) -> Shown:
    return shown or _NOTHING


def _has(values: Mapping[str, float | None], required: Sequence[str]) -> bool:
    return all(values.get(name) is not None for name in required)


def _score(shown: Shown, score: Callable[[Mapping[str, float | None]], float], required: Sequence[str]) -> float:
    return score(shown.values) if _has(shown.values, required) else math.inf


def _held(shown: Shown, thresholds: Mapping[str, float]) -> bool:
    """Held whatever the score: for a reason of its own, or by a channel that fold A gave a threshold."""
    beyond = [
        name
        for name in shown.uncalibrated
        if name in thresholds and ((value := shown.values.get(name)) is None or value > thresholds[name])
    ]
    return bool(shown.reasons or beyond or not shown.values)


def _entry(stored: Mapping[str, object]) -> Entry:
    parts = dict(stored)
    for name in ("clean", "planted"):
        if parts[name] is not None:
            shown = dict(cast(Mapping[str, object], parts[name]))
            shown["uncalibrated"] = tuple(cast(Sequence[str], shown["uncalibrated"]))
            shown["reasons"] = tuple(cast(Sequence[str], shown["reasons"]))
            parts[name] = Shown(**shown)  # type: ignore[arg-type]  # written by this class
    return Entry(**parts)  # type: ignore[arg-type]  # written by this class

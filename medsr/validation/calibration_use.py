"""Judging under a calibration record: finding the one that fits, and applying nothing of one that does not."""

from __future__ import annotations

import datetime
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medsr.errors import MedsrError
from medsr.records import CalibrationUse, ChannelResult, ChannelStatus, Restoration
from medsr.resources import data_root
from medsr.settings import settings
from medsr.validation.calibration import DRIFT_SCORES, drifted
from medsr.validation.calibration_record import Binding, CalibrationRecord, binding_of, read_record

__all__ = ["Calibrated", "calibrated", "find_record", "keep_score", "matches"]

_log = logging.getLogger("medsr.validation")


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Channels with the record's thresholds, combined score and use; or what was there, and a sentence why not.

    score is None where a channel of the record was not assessed, and NaN where one gave no number.
    """

    channels: tuple[ChannelResult, ...]
    score: float | None = None
    use: CalibrationUse | None = None
    limit: str = ""


def calibrated(
    restoration: Restoration, channels: tuple[ChannelResult, ...], *, policy_sha256: str, today: datetime.date
) -> Calibrated:
    """Judge the values of `channels` under the record that fits restoration and policy, if there is one."""
    record, limit = find_record(restoration, policy_sha256=policy_sha256, today=today)
    if record is None:
        return Calibrated(channels, limit=limit)
    threshold = record.certificate.threshold
    if threshold is None:
        return Calibrated(channels, limit=record.sentence)
    applied = tuple(_with_threshold(channel, record.null_thresholds) for channel in channels)
    use = CalibrationUse(record.binding.name, len(record.subjects), record.sentence, threshold)
    whose = f"The guarantee is of {record.created} and of these scanners: {record.sites or 'not stated'}."
    return Calibrated(applied, _score(record, applied), use, whose)


def find_record(
    restoration: Restoration, *, policy_sha256: str, today: datetime.date
) -> tuple[CalibrationRecord | None, str]:
    """The record that speaks for a restoration, else a sentence that says why one lying there does not (or nothing).

    The site's folder (MEDSR_CALIBRATION) is asked before medsr's own.
    """
    wanted = binding_of(restoration)
    if wanted is None:
        return None, ""
    site = settings().calibration
    limit = ""
    for root in ([site] if site else []) + [data_root("validation") / "calibration"]:
        path = root / wanted.name
        if not path.is_file():
            continue
        try:
            record = read_record(path)
        except MedsrError as error:
            _log.warning("calibration.refused", extra={"code": error.code})
            limit = f"A calibration record was found and not used: {error}"
            continue
        limit = _objection(record, wanted, policy_sha256=policy_sha256, today=today)
        if not limit:
            return record, ""
    return None, limit


def matches(record: CalibrationRecord, wanted: Binding, *, policy_sha256: str) -> bool:
    """True if the record is bound to exactly these weights, settings, engine, operator, stratum and policy."""
    return record.binding == wanted and policy_sha256 in record.policies.values()


def keep_score(use: CalibrationUse | None, score: float | None) -> None:
    """Add a combined score to the site's history, from which drift is told; only with MEDSR_CALIBRATION_SCORES."""
    folder = settings().calibration_scores
    if folder is None or use is None or score is None:
        return
    path = _history(folder, use.record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(score if math.isfinite(score) else None) + "\n")


def _objection(record: CalibrationRecord, wanted: Binding, *, policy_sha256: str, today: datetime.date) -> str:
    """Why a record that was read is not used, as a sentence; nothing if it is."""
    if not matches(record, wanted, policy_sha256=policy_sha256):
        return "A calibration record was found and not used: it is bound to another model, setting, operator or policy."
    if record.refusal:
        return f"Calibration gave no promise [{record.refusal}]. {record.sentence}"
    if not record.created <= today < record.expires:
        return f"A calibration record was found and not used: it held until {record.expires}."
    if drifted([item.clean for item in record.subjects if math.isfinite(item.clean)], _recent(record)):
        return f"A calibration record was found and not used: the last {DRIFT_SCORES} scores here differ from its own."
    return ""


def _recent(record: CalibrationRecord) -> list[float]:
    """The last hundred scores of the site, NaN for what is no number; none while there are fewer."""
    folder = settings().calibration_scores
    path = None if folder is None else _history(folder, record.binding.name)
    if path is None or not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()[-DRIFT_SCORES:]
    return [_number(line) for line in lines] if len(lines) == DRIFT_SCORES else []


def _number(line: str) -> float:
    try:
        return float(json.loads(line))
    except (ValueError, TypeError):
        return math.nan


def _history(folder: Path, name: str) -> Path:
    return folder / f"{name.removesuffix('.json')}.scores"


def _with_threshold(channel: ChannelResult, thresholds: Mapping[str, float]) -> ChannelResult:
    """A channel that lacked only its threshold, with it."""
    if not channel.uncalibrated or channel.name not in thresholds:
        return channel
    threshold = thresholds[channel.name]
    finite = channel.value is not None and math.isfinite(channel.value)
    status: ChannelStatus = "passed" if finite and channel.value <= threshold else "held"  # type: ignore[operator]  # finite
    return replace(channel, status=status, threshold=threshold, uncalibrated=False)


def _score(record: CalibrationRecord, channels: Sequence[ChannelResult]) -> float | None:
    values = {channel.name: channel.value for channel in channels}
    chosen = [values.get(name) for name in record.normalisation.median]
    if any(value is None for value in chosen):
        return None
    if not all(math.isfinite(value) for value in chosen if value is not None):
        return math.nan
    return record.normalisation.score(values)

"""A calibration record: what it is bound to, what it promises, and every reason not to believe it.

A record is data beside the code. Whoever edits its threshold must also edit the scores it was walked over: the
promise is computed again from them whenever the record is read.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import cast

from medsr.errors import Refusal
from medsr.records import ModelIdentity, Restoration
from medsr.validation.calibration import (
    Certificate,
    Normalisation,
    ScoredSubject,
    certify,
    largest_threshold,
    oversmooths,
    walked_thresholds,
)
from medsr.validation.strata import Stratum, operator_class, stratum_of

__all__ = ["SCHEMA", "Binding", "CalibrationRecord", "binding_of", "read_record", "record_name"]

SCHEMA = "medsr.calibration/1"

_LARGEST_FILE = 4 << 20
_LEAST_T = 5.0


@dataclass(frozen=True, slots=True)
class Binding:
    """Everything that must be the same for a record to speak for a restoration; the policy is compared apart."""

    weights_sha256: str
    method: str
    fidelity: float | None
    steps: int | None
    samples: int | None
    engine: str
    precision: str
    operator: str
    stratum: Stratum

    @property
    def name(self) -> str:
        """Path of the record below a calibration folder."""
        return record_name(self.weights_sha256, self.stratum, self.operator, self.engine, self.precision)


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationRecord:
    """One calibration of one stratum.

    Parameters
    ----------
    policies : sha256 by name; under each of them the lesions were held or released as the scores say.
    normalisation : of the required channels, from fold A.
    null_thresholds : of channels that no physics bounds, from fold A.
    spread : of the scan of clean images of fold A within a slice, in noise sd.
    beta : the rate of misses that is promised to stay below.
    subjects : scores of fold B.
    created, expires : days; after the latter the record is not used.
    folds : files of either fold with their sha256, for whoever wants to see what it rests on.
    sites : the mixture of scanners that the sentence means.
    again : why fold B was used more than once, if it was.
    """

    binding: Binding
    policies: Mapping[str, str]
    normalisation: Normalisation
    null_thresholds: Mapping[str, float]
    spread: float
    beta: float
    subjects: tuple[ScoredSubject, ...]
    created: datetime.date
    expires: datetime.date
    folds: Mapping[str, Mapping[str, str]]
    sites: str = ""
    again: str = ""

    @property
    def refusal(self) -> str:
        """Why there is no promise (a reason code), or nothing."""
        if oversmooths(_LEAST_T, self.spread):
            return "model.oversmooths"
        return "" if self.certificate.threshold is not None else "calibration.few"

    @property
    def certificate(self) -> Certificate:
        """The walk over fold B's scores, made anew."""
        limit = largest_threshold(self.normalisation, "R4")
        return certify(self.subjects, beta=self.beta, thresholds=walked_thresholds(limit))

    @property
    def sentence(self) -> str:
        """The only words that the certificate allows."""
        return self.certificate.sentence

    def to_bytes(self) -> bytes:
        """Canonical JSON with the promise spelt out and a checksum over all of it."""
        body = self.body()
        text = json.dumps({**body, "sha256": _digest(body)}, indent=1, sort_keys=True, allow_nan=False)
        return (text + "\n").encode()

    def body(self) -> dict[str, object]:
        """Everything the file holds but its checksum, the promise recomputed."""
        certificate = self.certificate
        return {
            "schema": SCHEMA,
            "binding": asdict(self.binding),
            "policies": dict(self.policies),
            "normalisation": {
                name: [self.normalisation.median[name], self.normalisation.spread[name]]
                for name in self.normalisation.median
            },
            "null_thresholds": dict(self.null_thresholds),
            "spread": self.spread,
            "beta": self.beta,
            "subjects": [
                {**asdict(item), "clean": _finite(item.clean), "planted": _finite(item.planted)}
                for item in self.subjects
            ],
            "created": self.created.isoformat(),
            "expires": self.expires.isoformat(),
            "folds": {fold: dict(files) for fold, files in self.folds.items()},
            "sites": self.sites,
            "again": self.again,
            "promise": {
                "threshold": certificate.threshold,
                "n": certificate.subjects,
                "misses": certificate.misses,
                "bound": certificate.bound,
                "clean_held": certificate.held,
                "sentence": self.sentence,
                "refusal": self.refusal,
            },
        }


def record_name(weights_sha256: str, stratum: Stratum, operator: str, engine: str, precision: str) -> str:
    """``<bundle sha12>/<task>-<stratum>-<engine>-<precision>.json``; an undeclared operator is part of the stratum."""
    declared = "" if " declared," in operator else "-undeclared"
    return f"{weights_sha256[:12]}/{stratum.task}-{stratum.name}{declared}-{engine}-{precision}.json"


def binding_of(restoration: Restoration) -> Binding | None:
    """What a record would have to be bound to; None without a model or outside every stratum."""
    model, stratum = restoration.model, stratum_of(restoration)
    if model is None or stratum is None:
        return None
    return _binding(model, stratum, operator_class(restoration))


def read_record(path: Path) -> CalibrationRecord:
    """Read a record and hold that it says what its own scores say.

    Raises
    ------
    Refusal : ``calibration.broken``.
    """
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise Refusal("calibration.broken", f"{path.name} is larger than any record")
        stored = json.loads(path.read_bytes())
        checksum = stored.pop("sha256")
        record = _parsed(stored)
        same = stored == json.loads(json.dumps(record.body()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal("calibration.broken", f"{path.name} is no calibration record") from error
    if checksum != _digest(stored):
        raise Refusal("calibration.broken", f"{path.name} does not hash to what it says")
    if not same:
        raise Refusal("calibration.broken", f"the promise of {path.name} does not follow from its scores")
    return record


def _binding(model: ModelIdentity, stratum: Stratum, operator: str) -> Binding:
    return Binding(
        weights_sha256=model.sha256,
        method=model.method,
        fidelity=model.fidelity,
        steps=model.steps,
        samples=model.samples,
        engine=model.engine,
        precision=model.precision,
        operator=operator,
        stratum=stratum,
    )


def _parsed(stored: Mapping[str, object]) -> CalibrationRecord:
    if stored["schema"] != SCHEMA:
        raise ValueError("schema")
    bound = dict(cast(Mapping[str, object], stored["binding"]))
    stratum = Stratum(**cast(dict[str, str], bound.pop("stratum")))  # type: ignore[arg-type]  # compared, never trusted
    pairs = cast(Mapping[str, Sequence[float]], stored["normalisation"])
    normalisation = Normalisation(
        {name: float(pair[0]) for name, pair in pairs.items()}, {name: float(pair[1]) for name, pair in pairs.items()}
    )
    if not pairs or any(not (math.isfinite(a) and math.isfinite(b) and b > 0) for a, b in pairs.values()):
        raise ValueError("normalisation")
    subjects = tuple(
        ScoredSubject(
            str(item["subject"]),
            _score(item["clean"]),
            _score(item["planted"]),
            item["clean_held"] is True,
            item["planted_held"] is True,
        )
        for item in cast(Sequence[Mapping[str, object]], stored["subjects"])
    )
    return CalibrationRecord(
        binding=replace(Binding(**bound, stratum=stratum)),  # type: ignore[arg-type]  # compared, never trusted
        policies=dict(cast(Mapping[str, str], stored["policies"])),
        normalisation=normalisation,
        null_thresholds=dict(cast(Mapping[str, float], stored["null_thresholds"])),
        spread=float(cast(float, stored["spread"])),
        beta=float(cast(float, stored["beta"])),
        subjects=subjects,
        created=datetime.date.fromisoformat(str(stored["created"])),
        expires=datetime.date.fromisoformat(str(stored["expires"])),
        folds=cast(Mapping[str, Mapping[str, str]], stored["folds"]),
        sites=str(stored["sites"]),
        again=str(stored["again"]),
    )


def _finite(value: float) -> float | None:
    """Infinity has no place in JSON: a score that no threshold releases stands as null."""
    return value if math.isfinite(value) else None


def _score(value: object) -> float:
    return math.inf if value is None else float(cast(float, value))


def _digest(body: Mapping[str, object]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

"""Figures for Prometheus, and the panel that compares scores with the calibration record."""

from __future__ import annotations

import datetime
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from medsr.jobs.store import Store
from medsr.service.api.auth import requires
from medsr.service.api.desk import Here
from medsr.service.api.documented import problems
from medsr.service.api.measures import Judged, judged_since, middle
from medsr.service.api.schemas import DriftOut
from medsr.service.pins import calibration_files

__all__ = ["router"]

router = APIRouter(tags=["operation"])

_DAY_S = 86_400.0
_MOST = 20_000
_LARGEST_RECORD = 4 << 20
_SOON_DAYS = 28


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus text.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **{status: text for status, text in problems().items() if status == 503},
    },
)
async def metrics(request: Request, desk: Here) -> Response:
    """Jobs, queue, leases, stages, verdicts, scores, disk. No label holds text from a request or a scan."""
    text = await desk.calls.run(generate_latest, request.app.state.registry)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get(
    "/v1/drift",
    response_model=DriftOut,
    dependencies=[requires("read", "review", "admin")],
    responses=problems(),
)
async def drift(
    desk: Here, days: Annotated[int, Query(ge=1, le=365, description="How far to look back.")] = 30
) -> DriftOut:
    """Scores of the last days by stratum, beside each calibration record, its scores and its expiry."""

    def collect() -> DriftOut:
        recent = judged_since(desk.store, desk.store.now() - days * _DAY_S, most=_MOST)
        return DriftOut(days=days, strata=_strata(recent), records=_records(desk.store))

    return await desk.calls.run(collect)


def _strata(recent: tuple[Judged, ...]) -> list[dict[str, object]]:
    groups: dict[str, list[Judged]] = defaultdict(list)
    for one in recent:
        groups[one.stratum].append(one)
    return [{"stratum": name, "n": len(found), **_figures(found)} for name, found in sorted(groups.items())]


def _figures(found: list[Judged]) -> dict[str, object]:
    verdicts: dict[str, int] = defaultdict(int)
    days: dict[str, list[float]] = defaultdict(list)
    for one in found:
        verdicts[one.verdict] += 1
        score = one.summary.get("score")
        if isinstance(score, int | float):
            days[datetime.datetime.fromtimestamp(one.finished, datetime.UTC).date().isoformat()].append(float(score))
    scores = [score for day in days.values() for score in day]
    return {
        "verdicts": dict(verdicts),
        "scores": _spread(scores),
        "by_day": [{"day": day, **_spread(values)} for day, values in sorted(days.items())],
    }


def _spread(values: list[float]) -> dict[str, object]:
    if not values:
        return {"n": 0, "p5": None, "p50": None, "p95": None}
    return {"n": len(values), **{f"p{round(100 * q)}": middle(values, q) for q in (0.05, 0.5, 0.95)}}


def _records(store: Store) -> list[dict[str, object]]:
    """Each record as a file states it; the gate reads and checks it by itself."""
    today = datetime.datetime.fromtimestamp(store.now(), datetime.UTC).date()
    told: list[dict[str, object]] = []
    for path in calibration_files(()):
        if path.stat().st_size > _LARGEST_RECORD:
            continue
        try:
            record = json.loads(path.read_bytes())
        except ValueError:
            continue
        if isinstance(record, dict):
            told.append(_record(f"{path.parent.name}/{path.name}", record, today))
    return told


def _record(name: str, record: Mapping[str, Any], today: datetime.date) -> dict[str, object]:
    subjects = record.get("subjects")
    clean = [one.get("clean") for one in subjects if isinstance(one, dict)] if isinstance(subjects, list) else []
    promise = record.get("promise")
    expires = _day(record.get("expires"))
    left = None if expires is None else (expires - today).days
    return {
        "record": name,
        "stratum": name.rpartition("/")[2].removesuffix(".json"),
        "created": record.get("created"),
        "expires": record.get("expires"),
        "days_left": left,
        "expires_soon": left is None or left < _SOON_DAYS,
        "threshold": promise.get("threshold") if isinstance(promise, dict) else None,
        "scores": _spread([float(score) for score in clean if isinstance(score, int | float)]),
    }


def _day(text: object) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(str(text))
    except ValueError:
        return None

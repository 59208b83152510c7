"""What the service is doing, read from the store at each scrape: no counter is lost when a process dies.

Labels are states, reason codes, names of bundles and strata: never text of a request or a scan.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from medsr.jobs.listing import oldest_queued_s
from medsr.jobs.outbox import OPEN
from medsr.jobs.states import COMPUTING, STATES
from medsr.jobs.store import DATABASE, Store, reading
from medsr.jobs.tables import job, outbox
from medsr.jobs.watermark import room

__all__ = ["Judged", "StoreCollector", "judged_since", "middle"]

_RECENT_S = 3600.0
_MOST = 2_000


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judged job left for statistics."""

    finished: float
    verdict: str
    policy: str
    stratum: str
    summary: Mapping[str, Any]


def judged_since(store: Store, since: float, *, most: int = _MOST) -> tuple[Judged, ...]:
    """The newest judged jobs, newest first."""
    wanted = (
        sa.select(job.c.finished, job.c.verdict, job.c.policy, job.c.summary)
        .where(job.c.verdict.is_not(None), job.c.finished >= since)
        .order_by(job.c.created.desc(), job.c.id.desc())
        .limit(most)
    )
    with reading(store) as connection:
        rows = connection.execute(wanted).all()
    found = []
    for finished, verdict, policy, text in rows:
        summary = json.loads(text) if text else {}
        found.append(Judged(finished, verdict, policy, _stratum(summary), summary))
    return tuple(found)


def middle(values: Sequence[float], share: float = 0.5) -> float:
    """The value below which `share` of the sorted values lie; NaN of none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


def _stratum(summary: Mapping[str, Any]) -> str:
    """The calibration's stratum, else the modality and task, which always stand in the summary."""
    record = summary.get("stratum") or summary.get("calibration")
    if isinstance(record, str) and record:
        return record.rpartition("/")[2].removesuffix(".json")[:80]
    return "-".join(str(summary.get(name) or "unknown").lower()[:20] for name in ("modality", "task"))


class StoreCollector(Collector):
    """prometheus-client asks this at each scrape."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def describe(self) -> Iterable[Metric]:
        """Nothing at registration: the store is read at scrapes alone."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        yield from _jobs(self.store)
        yield from _ages(self.store)
        yield from _disk(self.store)
        recent = judged_since(self.store, self.store.now() - _RECENT_S)
        yield from _stages(recent)
        yield from _scores(recent)


def _gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(list(values), number)
    return family


def _jobs(store: Store) -> Iterator[Metric]:
    by_reason = sa.select(job.c.state, job.c.reason, sa.func.count()).group_by(job.c.state, job.c.reason)
    by_verdict = (
        sa.select(job.c.verdict, job.c.label, job.c.policy, sa.func.count())
        .where(job.c.verdict.is_not(None))
        .group_by(job.c.verdict, job.c.label, job.c.policy)
    )
    again = sa.select(sa.func.coalesce(sa.func.sum(job.c.attempts - 1), 0)).where(job.c.attempts > 1)
    spent = sa.select(sa.func.count()).where(job.c.reason == "job.attempts")
    with reading(store) as connection:
        reasons = {(state, reason or ""): number for state, reason, number in connection.execute(by_reason)}
        verdicts = [([v, label or "", policy], n) for v, label, policy, n in connection.execute(by_verdict)]
        lost = int(connection.execute(again).scalar_one()) + int(connection.execute(spent).scalar_one())
    rows = {(state, ""): 0 for state in STATES} | reasons
    yield _gauge("medsr_jobs", "Jobs by state and reason code.", ["state", "reason"], sorted(rows.items()))
    yield _gauge("medsr_verdicts", "Jobs by the gate's word.", ["verdict", "label", "policy"], verdicts)
    family = CounterMetricFamily("medsr_lease_losses", "Claims that were lost, of the jobs that are kept.")
    family.add_metric([], lost)
    yield family


def _ages(store: Store) -> Iterator[Metric]:
    beats = sa.select(sa.func.min(job.c.updated)).where(job.c.state.in_(COMPUTING))
    sends = sa.select(outbox.c.state, sa.func.count()).where(outbox.c.state.in_(OPEN)).group_by(outbox.c.state)
    with reading(store) as connection:
        oldest = connection.execute(beats).scalar_one()
        waiting = [([str(state)], float(number)) for state, number in connection.execute(sends)]
    silent = 0.0 if oldest is None else max(store.now() - float(oldest), 0.0)
    yield _gauge("medsr_queue_age_seconds", "Age of the job that waits longest.", [], [([], oldest_queued_s(store))])
    yield _gauge("medsr_heartbeat_age_seconds", "Longest silence of a worker with a job.", [], [([], silent)])
    yield _gauge("medsr_outbox", "Results on their way to destinations.", ["state"], waiting)


def _disk(store: Store) -> Iterator[Metric]:
    found = room(store)
    sizes = [(["free"], found.free), (["total"], found.total), (["watermark"], found.needed)]
    yield _gauge("medsr_disk_bytes", "The store's disk; below the watermark intake stops.", ["kind"], sizes)
    wal = store.folder / f"{DATABASE}-wal"
    yield _gauge("medsr_wal_bytes", "Write-ahead log of SQLite.", [], [([], wal.stat().st_size if wal.exists() else 0)])


def _stages(recent: Sequence[Judged]) -> Iterator[Metric]:
    seconds: dict[str, list[float]] = defaultdict(list)
    for one in recent:
        for stage, value in _numbers(one.summary.get("timings")):
            seconds[stage[:40]].append(value)
    rows = [([stage, str(q)], middle(found, q)) for stage, found in sorted(seconds.items()) for q in (0.5, 0.95)]
    yield _gauge("medsr_stage_seconds", "Seconds a stage took, last hour.", ["stage", "quantile"], rows)


def _scores(recent: Sequence[Judged]) -> Iterator[Metric]:
    channels: dict[tuple[str, str], list[float]] = defaultdict(list)
    inputs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for one in recent:
        told = one.summary.get("channels")
        values = {n: c.get("value") for n, c in told.items() if isinstance(c, dict)} if isinstance(told, dict) else {}
        for name, value in _numbers({**values, "combined": one.summary.get("score")}):
            channels[one.stratum, name[:20]].append(value)
        spacing = one.summary.get("spacing_mm")
        facts = {"noise_sigma": one.summary.get("noise_sigma")}
        facts |= {"spacing_mm": max(spacing)} if isinstance(spacing, list) and spacing else {}
        for name, value in _numbers(facts):
            inputs[one.stratum, name].append(value)
    rows = [([*key, str(q)], middle(found, q)) for key, found in sorted(channels.items()) for q in (0.5, 0.95)]
    yield _gauge("medsr_channel_score", "Scores of the gate, last hour.", ["stratum", "channel", "quantile"], rows)
    rows = [([*key], middle(found)) for key, found in sorted(inputs.items())]
    yield _gauge("medsr_input", "Medians of what came in, last hour.", ["stratum", "fact"], rows)
    yield _gauge("medsr_scraped_seconds", "When this was read.", [], [([], time.time())])


def _numbers(record: object) -> Iterator[tuple[str, float]]:
    if isinstance(record, Mapping):
        for name, value in record.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield str(name), float(value)

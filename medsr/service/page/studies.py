"""What the page tells of jobs: lists with badges, and one study with its report, view and what may be decided."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

from pydantic import ValidationError

from medsr.errors import MedsrError
from medsr.jobs.decisions import decisions
from medsr.jobs.files import open_checked
from medsr.jobs.keys import Principal
from medsr.jobs.listing import counts, jobs
from medsr.jobs.nouns import Job
from medsr.jobs.results import ResultFile, result_files
from medsr.jobs.states import COMPUTING, JUDGED, STATES, JobState
from medsr.jobs.store import Store
from medsr.remedies import REMEDIES
from medsr.report.document import Report
from medsr.report.words import reason_words
from medsr.service.page.badges import BADGES, Badge, age_words, bytes_words

__all__ = [
    "FILTERS",
    "Download",
    "Made",
    "Show",
    "Study",
    "downloads",
    "filters",
    "listed",
    "made",
    "report_of",
    "study_of",
]

Show = Literal["review", "working", "released", "refused", "failed", "all"]

FILTERS: Mapping[Show, tuple[str, tuple[JobState, ...]]] = {
    "review": ("Needs review", ("review",)),
    "working": ("In work", ("receiving", "queued", "running", "judging")),
    "released": ("Released", ("released",)),
    "refused": ("Refused", ("rejected", "blocked", "withdrawn")),
    "failed": ("Failed", ("failed", "cancelled")),
    "all": ("All", ()),
}
_TASKS = {"denoise": "denoising", "superres": "super-resolution", "inpaint": "missing slices"}
_VERDICTS: Mapping[JobState, tuple[str, ...]] = {"review": ("released", "rejected"), "released": ("withdrawn",)}
_DECIDED = {"released": "Approved", "rejected": "Rejected", "withdrawn": "Withdrawn"}
_LIVE: frozenset[JobState] = COMPUTING | {"receiving", "queued"}


@dataclass(frozen=True, slots=True)
class Study:
    """A job as the page shows it; no text in it comes from the scan."""

    id: str
    state: JobState
    badge: Badge
    title: str
    sentence: str
    label: str
    word: str | None
    findings: int | None
    created: str
    age: str
    fraction: float
    live: bool
    output_sha256: str | None
    etag: str
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of the worklist with the number of jobs behind it."""

    key: Show
    title: str
    count: int


@dataclass(frozen=True, slots=True)
class Download:
    """A file that may be fetched."""

    name: str
    size: str


@dataclass(frozen=True, slots=True)
class Made:
    """A decision that was made."""

    title: str
    reader: str
    reason: str
    time: str


def filters(store: Store, owner: str | None) -> tuple[Filter, ...]:
    """All filters with their counts."""
    found = counts(store, owner=owner)
    return tuple(
        Filter(key, title, sum(found[state] for state in (states or STATES)))
        for key, (title, states) in FILTERS.items()
    )


def listed(
    store: Store, owner: str | None, show: Show, *, reader: Principal, cursor: str | None = None, limit: int = 50
) -> tuple[tuple[Study, ...], str | None]:
    """A page of the worklist, newest first, and the cursor of the next one."""
    page = jobs(store, owner=owner, states=FILTERS[show][1], cursor=cursor, limit=limit)
    return tuple(study_of(store, item, reader=reader) for item in page.items), page.next


def study_of(store: Store, job: Job, *, reader: Principal) -> Study:
    """A job in words."""
    report = report_of(store, job)
    findings = len(report.findings) if report else job.summary.get("findings")
    return Study(
        id=job.id,
        state=job.state,
        badge=BADGES[job.state],
        title=_title(job, report),
        sentence=_sentence(job, report),
        label=job.label,
        word=job.verdict,
        findings=findings if isinstance(findings, int) else None,
        created=_time(job.created),
        age=age_words(store.now() - job.created),
        fraction=job.fraction,
        live=job.state in _LIVE,
        output_sha256=job.output_sha256,
        etag=f'"{job.etag}"',
        verdicts=_VERDICTS.get(job.state, ()) if reader.may("review") and job.output_sha256 else (),
    )


def report_of(store: Store, job: Job) -> Report | None:
    """The report of a judged job, None while or where there is none that can be read."""
    if job.state not in JUDGED or job.output_sha256 is None:
        return None
    file = next((item for item in result_files(store, job.id) if item.name == "report.json" and item.kept), None)
    return None if file is None else _report(store, file.sha256)


def downloads(store: Store, job: Job, *, reader: Principal, owner: str | None) -> tuple[Download, ...]:
    """Result files that the reader may fetch."""
    if job.state != "released" or not (reader.may("read") or reader.may("review")) or owner not in (None, job.owner):
        return ()
    return tuple(Download(item.name, bytes_words(item.bytes)) for item in result_files(store, job.id) if _fetched(item))


def made(store: Store, job: Job) -> tuple[Made, ...]:
    """The decisions on a job, in order."""
    return tuple(
        Made(_DECIDED.get(item.verdict, item.verdict), item.identity, item.reason, _time(item.at))
        for item in decisions(store, job.id)
    )


def is_show(text: str) -> bool:
    """Whether a query names a filter."""
    return text in get_args(Show)


def _fetched(file: ResultFile) -> bool:
    return file.kept and file.kind not in ("view", "report")


def _title(job: Job, report: Report | None) -> str:
    if job.request.kind == "validate":
        return f"{report.input.modality}, candidate judged" if report else "Candidate to be judged"
    asked = job.request.parameters
    task = _TASKS.get(str(asked.get("task")), "restoration")
    for name, words in (("scale", "×{:g}"), ("through", "×{:g} through plane")):
        value = asked.get(name)
        if isinstance(value, (int, float)):
            task += " " + words.format(value)
    modality = report.input.modality if report else job.summary.get("modality")
    return f"{modality}, {task}" if modality in ("CT", "MR") else task.capitalize()


def _sentence(job: Job, report: Report | None) -> str:
    if report is not None:
        words = report.gate.sentence
        if job.state in ("review", "released", "rejected", "blocked") and report.gate.word == job.state:
            return words
        return f"{BADGES[job.state].title} by a reader. The gate said: {words[0].lower()}{words[1:]}"
    if job.state in _LIVE:
        return "Stopping" if job.cancel else (job.stage or BADGES[job.state].title.lower())
    if job.reason:
        return f"{_reason(job.reason)} [{job.reason}]"
    return BADGES[job.state].title


def _reason(code: str) -> str:
    words = reason_words(code)
    return REMEDIES.get(code, words) if words == f"reason {code}" else words


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _report(store: Store, sha256: str) -> Report | None:
    try:
        with open_checked(store.files, sha256) as stream:
            return _parsed(stream.read())
    except (MedsrError, ValidationError):
        return None


@lru_cache(maxsize=256)
def _parsed(data: bytes) -> Report:
    return Report.from_bytes(data)

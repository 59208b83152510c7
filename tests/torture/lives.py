"""Live and die: processes that submit, work, decide and read, killed at fail-points and at random, until none is left.

python lives.py STORE --kills N --jobs M --seed S --ledgers FOLDER

One process has the libraries loaded and forks every life, so that a life costs milliseconds to begin. Each life is a
sender, a worker or a reader, with a plan: SIGKILL at the n-th passing of a fail-point, or after a random time. Ledgers
are lines of JSON, written after the acknowledgement that they note. When the kills are used up, lives without a plan
bring every job to its end. checker.py then judges store and ledgers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from medsr.errors import Conflict, MedsrError, TransitionError
from medsr.jobs.claims import reap
from medsr.jobs.decisions import decide
from medsr.jobs.files import keep
from medsr.jobs.inputs import add_input
from medsr.jobs.keys import Principal
from medsr.jobs.listing import jobs
from medsr.jobs.nouns import IdempotencyKey, JobRequest
from medsr.jobs.results import open_result, result_files
from medsr.jobs.states import ENDED
from medsr.jobs.store import Limits, Store, close_store, open_store
from medsr.jobs.submit import submit
from medsr.resources.failpoints import failpoints
from medsr.service.pins import pins_of
from medsr.service.settings import ServiceSettings
from medsr.service.worker import run_worker

SENDER = ("submit.", "input.", "file.", "artefact.")
READER = ("decide.", "file.", "approve.")
LEASE_S, HEARTBEAT_S = 1.0, 0.2
ATTEMPTS = 1_000
"""Here the worker is killed and not the job to blame."""
LONGEST_LIFE_S = 3.0
STAGES = (
    ("sender", ("file.rename", "submit.commit", "submit.ack")),
    ("worker", ("claim.commit", "claim.done", "work.read", "work.restore", "stage.row", "work.judge", "work.release",
                "publish.files", "publish.commit", "publish.done")),
    ("reader", ("decide.file", "decide.commit", "decide.ack")),
)  # fmt: skip


@dataclass(frozen=True)
class Harness:
    store: Path
    ledgers: Path
    settings: ServiceSettings
    scans: tuple[bytes, ...]
    jobs: int

    def open(self, *, create: bool = False) -> Store:
        limits = Limits(lease_s=LEASE_S, attempts=ATTEMPTS, min_free_bytes=0, min_free_fraction=0.0, ballast_bytes=0)
        return open_store(self.store, limits=limits, create=create)

    def note(self, name: str, entry: dict[str, object]) -> None:
        """A line of a ledger, in one write; ledgers are not the store's, and outlive every kill of a process."""
        handle = os.open(self.ledgers / f"{name}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(handle, json.dumps(entry).encode() + b"\n")
        os.close(handle)

    def lines(self, name: str) -> list[dict[str, object]]:
        path = self.ledgers / f"{name}.jsonl"
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def send(harness: Harness) -> None:
    """Submit what is not acknowledged yet; a repetition after a kill carries the same Idempotency-Key."""
    store = harness.open()
    known = {entry["key"] for entry in harness.lines("sent")}
    for number in range(harness.jobs):
        key = f"job-{number}"
        if key in known:
            continue
        data = harness.scans[number % len(harness.scans)]
        kept = keep(store.files, [data])
        add_input(store, kept, owner="sender", kind="nifti")
        request = JobRequest({"task": "denoise", "seed": number})
        pins = pins_of(request, policy=("clinical", "research")[number % 2])
        made = submit(
            store, owner="sender", request=request, input_sha256=kept.sha256, pins=pins,
            key=IdempotencyKey(key, kept.sha256),
        )  # fmt: skip
        harness.note("sent", {"key": key, "job": made.id, "input": kept.sha256, "at": time.time()})


def work(harness: Harness) -> None:
    run_worker(harness.open(), harness.settings)


def read(harness: Harness) -> None:
    """Approve what is held, withdraw a few, and read what is released."""
    store = harness.open()
    reader = Principal("reader", "reader", "reader", frozenset({"review", "read"}))
    for job in jobs(store, states=("review",), limit=200).items:
        with contextlib.suppress(Conflict, TransitionError):
            after = decide(
                store, job.id, reader=reader, identity="A. Reader", verdict="released", reason="compared",
                output_sha256=job.output_sha256 or "", etag=job.etag,
            )  # fmt: skip
            harness.note("approved", {"job": after.id, "output": after.output_sha256, "at": time.time()})
    for job in jobs(store, states=("released",), limit=200).items:
        for file in result_files(store, job.id):
            found, stream = open_result(store, job, file.name)
            with stream:
                stream.read()
            entry = {"job": job.id, "name": found.name, "sha256": found.sha256, "kind": found.kind}
            harness.note("received", entry)


ROLES: dict[str, Callable[[Harness], None]] = {"sender": send, "worker": work, "reader": read}


def begin(harness: Harness, role: str, plan: str | None) -> int:
    """Fork a life."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if plan is not None:
            os.environ["MEDSR_FAIL"] = plan
        ROLES[role](harness)
        code = 0
    except MedsrError as error:
        sys.stderr.write(f"{role}: {error}\n")
    finally:
        os._exit(code)


def points_of(role: str) -> list[str]:
    every = sorted(failpoints())
    if role == "sender":
        return [name for name in every if name.startswith(SENDER)]
    if role == "reader":
        return [name for name in every if name.startswith(READER)]
    return [
        name for name in every if name.startswith(("claim.", "reap.", "work.", "publish.", "file.", "stage.", "keep."))
    ]


def kill_some(harness: Harness, count: int, chance: random.Random, every: list[tuple[str, str]]) -> dict[str, int]:
    """Die `count` times: first at each place of `every` in turn, then at random places and times."""
    places: dict[str, int] = {}
    died = 0
    while died < count:
        if every:
            role, point = every.pop()
            plan: str | None = f"{point}:1:kill"
        else:
            role = chance.choices(("worker", "sender", "reader"), (6, 2, 2))[0]
            point = chance.choice(["at random", *points_of(role)])
            plan = None if point == "at random" else f"{point}:{chance.randint(1, 2)}:kill"
        life = chance.uniform(0.02, 0.6) if plan is None else LONGEST_LIFE_S
        harness = provided(harness, role)
        status = live(begin(harness, role, plan), life)
        if os.WIFSIGNALED(status):
            died += 1
            where = f"{role} {point}" if plan else f"{role} at random"
            places[where] = places.get(where, 0) + 1
            harness.note("kills", {"at": time.time(), "what": where})
    return places


def provided(harness: Harness, role: str) -> Harness:
    """Something to do for this life: a job to be sent, to be worked, or to be decided."""
    with contextlib.closing(sqlite3.connect(harness.store / "medsr.sqlite")) as rows:
        states = [row[0] for row in rows.execute("SELECT state FROM job")]
    if role == "sender" or (role == "worker" and not {"queued", "running", "judging"} & set(states)):
        harness = replace(harness, jobs=max(harness.jobs, len(states)) + 1)
    if role == "worker":
        live(begin(harness, "sender", None), LONGEST_LIFE_S)
    if role == "reader" and "review" not in states:
        live(begin(harness, "worker", None), LONGEST_LIFE_S)
    return harness


def live(process: int, seconds: float) -> int:
    """Wait for a life to end, and end it when its time is over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return status
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    return os.waitpid(process, 0)[1]


def settle(harness: Harness, most_s: float) -> None:
    """Lives without a plan, until every job is at its end."""
    until = time.monotonic() + most_s
    live(begin(harness, "sender", None), most_s)
    worker = begin(harness, "worker", None)
    store = harness.open()
    try:
        while time.monotonic() < until:
            live(begin(harness, "reader", None), most_s)
            if all(job.state in ENDED - {"review"} for job in jobs(store, limit=200).items):
                break
            time.sleep(0.2)
    finally:
        os.kill(worker, signal.SIGTERM)
        live(worker, 10.0)
        close_store(store)
    live(begin(harness, "reader", None), most_s)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--ledgers", type=Path, required=True)
    parser.add_argument("--scan", type=Path, action="append", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=0, help="times that each fail-point kills before chance does")
    parser.add_argument("--every-stage", action="store_true", help="one fail-point of each stage first")
    parser.add_argument("--settle-s", type=float, default=60.0)
    given = parser.parse_args()
    settings = ServiceSettings(
        store=given.store, heartbeat_s=HEARTBEAT_S, lease_s=LEASE_S, poll_s=0.05, drain_s=5.0, precision="fp32"
    )
    scans = tuple(path.read_bytes() for path in given.scan)
    harness = Harness(given.store, given.ledgers, settings, scans, given.jobs)
    store = harness.open(create=True)
    reap(store)
    close_store(store)
    chance = random.Random(given.seed)  # noqa: S311 -- a plan that can be played again
    every = [(role, point) for role in ROLES for point in points_of(role) for _ in range(given.each)]
    if given.every_stage:
        every = [(role, point) for role, points in STAGES for point in points]
    every.reverse()  # senders die first, then workers, then readers
    begun = time.monotonic()
    places = kill_some(harness, given.kills, chance, every)
    killing_s = time.monotonic() - begun
    settle(harness, given.settle_s)
    seconds = {"killing_s": round(killing_s, 1), "settling_s": round(time.monotonic() - begun - killing_s, 1)}
    print(json.dumps({"places": places, **seconds}))  # noqa: T201 -- its result
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Figures of the job store: claim and publish a second by processes, pages of a long list.

python tools/bench_jobs.py [--jobs 400] [--processes 4] [--listed 100000] [--url postgresql+psycopg://...]
Give --folder a place on the disk that counts; without it the system's temporary folder is used.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import platform
import statistics
import tempfile
import time
from pathlib import Path

from medsr.jobs.claims import claim, judging
from medsr.jobs.files import keep
from medsr.jobs.inputs import add_input
from medsr.jobs.listing import counts, jobs
from medsr.jobs.nouns import JobRequest, Pins
from medsr.jobs.publish import publish
from medsr.jobs.rows import insert_job
from medsr.jobs.store import Limits, close_store, open_store, writing
from medsr.jobs.submit import submit
from medsr.release.publication import _SEAL, Release

PINS = Pins(policy="clinical", policy_sha256="a" * 64, configuration_sha256="c" * 64)
LIMITS = Limits(min_free_bytes=0, min_free_fraction=0.0, most_queued=10**9, most_queued_by_owner=10**9)


def work(folder: Path, url: str | None, worker: int) -> None:
    """Claim and publish until nothing waits."""
    store = open_store(folder, url=url, limits=LIMITS)
    done = 0
    while (held := claim(store, str(worker))) is not None:
        judging(store, held)
        place = folder.parent / f"work-{worker}-{done}"
        place.mkdir()
        data = f"{worker}/{done}".encode()
        (place / "report.json").write_bytes(data)
        files = (("report.json", hashlib.sha256(data).hexdigest()),)
        # A Release without a scan behind it: the judge's time is not what is measured.
        publish(store, held, Release("rejected", ("made",), place, files, "d" * 64, "a" * 64, seal=_SEAL))
        done += 1
    close_store(store)


def throughput(folder: Path, url: str | None, *, count: int, processes: int) -> None:
    """Submit, then claim and publish by several processes."""
    store = open_store(folder, url=url, limits=LIMITS)
    sha256 = add_input(store, keep(store.files, [b"scan"]), owner="bench", kind="nifti").sha256
    began = time.perf_counter()
    for _ in range(count):
        submit(store, owner="bench", request=JobRequest(), input_sha256=sha256, pins=PINS)
    submitted = time.perf_counter() - began
    close_store(store)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(folder, url, number)) for number in range(processes)]
    for worker in workers:
        worker.start()
    # Importing takes seconds and is not what is measured: time counts from the first claim to the last result.
    for worker in workers:
        worker.join()
    store = open_store(folder, url=url, limits=LIMITS)
    times = [item for page in _pages(store) for item in (page.started, page.finished) if item is not None]
    published = counts(store)["rejected"]
    close_store(store)
    if published != count:
        raise SystemExit(f"{published} of {count} jobs were published")
    seconds = max(times) - min(times)
    print(f"submit: {count / submitted:.0f} jobs/s, one process, n={count}")
    print(f"claim + judging + publish: {count / seconds:.0f} jobs/s, {processes} processes, n={count}")


def listing(folder: Path, url: str | None, *, count: int) -> None:
    """Many jobs: the first page, a page from the middle, counts, and a start."""
    store = open_store(folder, url=url, limits=LIMITS)
    row = {
        "state": "queued", "version": 1, "priority": 0, "owner": "bench", "api_key": "bench", "kind": "restore",
        "request": "{}", "input_sha256": "a" * 64, "policy": "clinical", "policy_sha256": "a" * 64,
        "configuration_sha256": "c" * 64, "token": 0, "attempts": 0, "fraction": 0.0, "cancel": False,
    }  # fmt: skip
    for start in range(0, count, 5000):
        with writing(store) as connection:
            for number in range(start, min(start + 5000, count)):
                made = {"id": store.random.uuid(), "created": float(number), "updated": float(number)}
                insert_job(connection, row | made)
    middle = jobs(store, limit=200)
    for _ in range(20):
        middle = jobs(store, limit=200, cursor=middle.next)
    for title, deed in (
        ("page of 50", lambda: jobs(store, limit=50)),
        ("page of 50 further down", lambda: jobs(store, limit=50, cursor=middle.next)),
        ("page of 50 of an owner's queued", lambda: jobs(store, owner="bench", states=("queued",), limit=50)),
        ("counts", lambda: counts(store)),
        ("start", lambda: close_store(open_store(folder, url=url, limits=LIMITS))),
    ):
        taken = []
        for _ in range(20):
            began = time.perf_counter()
            deed()
            taken.append(1000 * (time.perf_counter() - began))
        print(f"{title}: median {statistics.median(taken):.1f} ms, worst {max(taken):.1f} ms, n=20, {count} jobs")
    close_store(store)


def _pages(store: object) -> list:
    found, cursor = [], None
    while True:
        page = jobs(store, limit=200, cursor=cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


def main() -> None:
    """Print one figure a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--listed", type=int, default=100_000)
    parser.add_argument("--url")
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    print(f"{platform.machine()}, {multiprocessing.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        throughput(Path(name) / "store", asked.url, count=asked.jobs, processes=asked.processes)
        listing(Path(name) / ("store" if asked.url else "long"), asked.url, count=asked.listed)


if __name__ == "__main__":
    main()

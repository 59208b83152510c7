"""The local runner: worker processes, one thread each, that may die without the run noticing more than a row."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import multiprocessing.connection
import resource
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

from medsr.batch.item import BatchOptions, Item, Pins, Row, key_of
from medsr.remedies import REMEDIES

__all__ = ["Deed", "Limits", "run_pool"]

_PR_SET_PDEATHSIG = 1
_POLL_S = 1.0
_ATTEMPTS = 2

OnRow = Callable[[Row], None]
OnTick = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Deed:
    """A scan to restore, with the hash of its bytes."""

    item: Item
    input_sha256: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one scan: wall clock in seconds; of one worker: private memory in bytes, or None."""

    seconds: float = 3600.0
    memory_bytes: int | None = None


@dataclass(slots=True, eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection
    deed: Deed | None = None
    since: float = 0.0


@dataclass(slots=True, eq=False)
class _Run:
    options: BatchOptions
    output: Path
    pins: Pins
    limits: Limits
    on_row: OnRow
    on_tick: OnTick
    waiting: deque[Deed]
    again: deque[Deed] = field(default_factory=deque)
    workers: list[_Worker] = field(default_factory=list)


def run_pool(
    deeds: Sequence[Deed],
    options: BatchOptions,
    output: Path,
    *,
    pins: Pins,
    workers: int,
    limits: Limits,
    on_row: OnRow,
    on_tick: OnTick,
) -> None:
    """Restore every scan; `on_row` is called once for each, in the order of their ends.

    A worker that dies or exceeds its time is replaced. Its scan is tried once more at the end, with no other scan
    beside it, and then listed as failed.
    """
    run = _Run(options, output, pins, limits, on_row, on_tick, deque(deeds))
    try:
        _drain(run, min(workers, len(deeds)), attempts=1)
        run.waiting, run.again = run.again, deque()
        _stop(run)
        _drain(run, min(1, len(run.waiting)), attempts=_ATTEMPTS)
    finally:
        _stop(run)


def _drain(run: _Run, count: int, *, attempts: int) -> None:
    while run.waiting or any(worker.deed for worker in run.workers):
        while len(run.workers) < count and run.waiting:
            run.workers.append(_started(run))
        for worker in run.workers:
            if worker.deed is None and run.waiting:
                _give(worker, run.waiting.popleft(), attempts)
        _listen(run, attempts=attempts)


def _give(worker: _Worker, deed: Deed, attempts: int) -> None:
    worker.deed, worker.since = deed, time.monotonic()
    with contextlib.suppress(OSError):  # a dead worker is noticed by its sentinel
        worker.connection.send((deed, attempts))


def _listen(run: _Run, *, attempts: int) -> None:
    busy = [worker for worker in run.workers if worker.deed is not None]
    waits = [item for worker in busy for item in (worker.connection, worker.process.sentinel)]
    multiprocessing.connection.wait(waits, timeout=_POLL_S)
    for worker in busy:
        _hear(run, worker)
        if worker.deed is None:
            continue
        late = time.monotonic() - worker.since > run.limits.seconds
        if late or not worker.process.is_alive():
            _hear(run, worker)
            if worker.deed is not None:
                _lost(run, worker, late=late, attempts=attempts)


def _hear(run: _Run, worker: _Worker) -> None:
    """Take everything a worker has said."""
    with contextlib.suppress(OSError, EOFError):
        while worker.deed is not None and worker.connection.poll():
            message = worker.connection.recv()
            if isinstance(message, Row):
                run.on_row(message)
                worker.deed = None
            else:
                run.on_tick(worker.deed.item.name, *cast("tuple[int, int]", message))


def _lost(run: _Run, worker: _Worker, *, late: bool, attempts: int) -> None:
    deed = cast(Deed, worker.deed)
    worker.process.kill()
    worker.process.join()
    worker.connection.close()
    run.workers.remove(worker)
    if attempts < _ATTEMPTS:
        run.again.append(deed)
        return
    code = "batch.time" if late else "batch.worker_died"
    fact = f"it took over {run.limits.seconds:.0f} s" if late else f"its worker ended with {worker.process.exitcode}"
    key = key_of(deed.item, deed.input_sha256, run.options, run.pins)
    run.on_row(
        Row(deed.item.name, key, "failed", code=code, fact=f"{fact}, twice", remedy=REMEDIES[code], attempts=attempts)
    )


def _started(run: _Run) -> _Worker:
    # A fresh interpreter: forking a process that has run torch's threads can hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (theirs, run.options, run.output, run.pins, run.limits.memory_bytes)
    process = context.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _stop(run: _Run) -> None:
    for worker in run.workers:
        worker.process.kill()
    for worker in run.workers:
        worker.process.join()
        worker.connection.close()
    run.workers.clear()


def _serve(connection: Connection, options: BatchOptions, output: Path, pins: Pins, memory_bytes: int | None) -> None:
    """The worker: takes scans until nobody gives any."""
    ctypes.CDLL("libc.so.6").prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to stop
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from medsr.batch.scan import restore_item
    from medsr.models.engine import prepare_process

    prepare_process(1)
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))

    def tick(done: int, total: int) -> None:
        connection.send((done, total))

    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            deed, attempts = connection.recv()
            row = restore_item(
                deed.item,
                options,
                output,
                input_sha256=deed.input_sha256,
                pins=pins,
                progress=tick,
                attempts=attempts,
            )
            connection.send(row)

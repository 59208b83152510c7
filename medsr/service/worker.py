"""A worker: one process and one thread that computes, with models and libraries warm; beside it a heart."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from medsr.errors import Conflict, IntegrityError, MedsrError, Unavailable
from medsr.jobs.claims import block, cancelled, claim, fail, hand_back, reap
from medsr.jobs.nouns import Claim
from medsr.jobs.store import Store
from medsr.models.engine import prepare_process
from medsr.service.pace import Heart, Pace, Stopped
from medsr.service.settings import ServiceSettings
from medsr.service.work import work
from medsr.service.work_folder import work_folder

__all__ = ["is_out_of_memory", "limit_memory", "run_worker"]

_LEAST_MEMORY = 1 << 30
_BUSY_S = 2.0

_log = structlog.get_logger("medsr.service")


def run_worker(store: Store, settings: ServiceSettings, *, pulse: Callable[[], None] = lambda: None) -> None:
    """Claim and work until SIGTERM, then finish or hand back what runs."""
    prepare_process(1)
    limit_memory(settings)
    name = f"{socket.gethostname()[:60]}/{os.getpid()}"
    heart = Heart(store, settings, pulse)
    heart.start()
    pulse()
    _log.info("worker.ready", worker=name)
    reaped = -float("inf")
    while not heart.draining:
        try:
            if time.monotonic() - reaped > store.limits.lease_s / 4:
                reap(store)
                reaped = time.monotonic()
            held = claim(store, name)
        except Unavailable as error:
            _log.warning("worker.waits", reason=error.code)
            heart.wait(_BUSY_S)
            continue
        if held is None:
            heart.wait(settings.poll_s)
        else:
            _one(store, held, settings=settings, heart=heart)
    heart.stop()
    _log.info("worker.ends", worker=name)


def limit_memory(settings: ServiceSettings) -> None:
    """Let a job add so much address space and no more; the libraries that are loaded do not count."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    allowed = max(settings.worker_memory_bytes or total // 2, _LEAST_MEMORY if not settings.worker_memory_bytes else 0)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = _address_space() + allowed
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: numpy raises MemoryError, torch a RuntimeError with these words."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error).lower()
    )


def _one(store: Store, held: Claim, *, settings: ServiceSettings, heart: Heart) -> None:
    """Work one job and tell the store how it ended; whatever cannot be told ends with the lease, as an attempt."""
    pace = Pace(wall_until=time.monotonic() + settings.wall_least_s * settings.wall_factor)
    log = _log.bind(job=held.job_id, attempt=held.job.attempts)
    log.info("job.claimed")
    try:
        with work_folder(store, held) as folder, heart.holding(held, pace):
            ended = work(store, held, settings=settings, pace=pace, folder=folder)
        log.info("job.ended", state=ended.state, reason=ended.reason)
    except Stopped as stopped:
        log.info("job.stopped", reason=stopped.order)
        if stopped.order == "cancel":
            _tell(cancelled, store, held)
    except Conflict as error:
        log.info("job.lost", reason=error.code)
    except Unavailable as error:
        log.warning("job.handed_back", reason=error.code)
        _tell(hand_back, store, held)
        heart.wait(_BUSY_S)
    except IntegrityError as error:
        log.warning("job.blocked", reason=error.code)
        _tell(block, store, held, error.code)
    except MedsrError as error:
        log.info("job.refused", reason=error.code)
        _tell(fail, store, held, error.code)
    except Exception as error:  # fails closed: nothing is published, the attempt counts
        if is_out_of_memory(error):
            log.warning("job.memory")
            _tell(fail, store, held, "job.memory")
        else:
            log.exception("job.crashed", kind=type(error).__name__)


def _tell(deed: Callable[..., object], *arguments: object) -> None:
    """An end that cannot be written is left to the lease."""
    try:
        deed(*arguments)
    except (Conflict, Unavailable) as error:
        _log.warning("job.untold", reason=error.code)


def _address_space() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")

"""One scan of a run, from file to published result: the same function for every runner."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from medsr.batch.item import BatchOptions, Item, Pins, Row, key_of
from medsr.batch.ledger import Ledger
from medsr.batch.thumbnail import write_thumbnail
from medsr.errors import MedsrError, UsageError
from medsr.pipeline.walk import Result, read_with_operator, restore_volume
from medsr.release import place_released
from medsr.remedies import REMEDIES
from medsr.volume import Modality

__all__ = ["restore_item"]

Progress = Callable[[int, int], None]

_log = logging.getLogger("medsr.batch")
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def restore_item(
    item: Item,
    options: BatchOptions,
    output: Path,
    *,
    input_sha256: str,
    pins: Pins,
    progress: Progress | None = None,
    attempts: int = 1,
) -> Row:
    """Restore, judge and publish one scan into `output`; never raises for what is wrong with the scan.

    The result and its row are published under a lock named by the key. A second attempt at the same deed, by a worker
    that was thought dead or by another run, finds the first one's row and returns it: nothing is published twice.
    """
    key = key_of(item, input_sha256, options, pins)
    ledger = Ledger(output)
    finished = ledger.finished(key)
    if finished is not None:
        return finished
    cost = _Cost(time.monotonic(), time.process_time(), attempts)
    try:
        result = _restored(item, options, pins, progress)
        with _locked(output, key):
            finished = ledger.finished(key)
            if finished is None:
                finished = cost.on(_published(item, result, output, key=key))
                ledger.write(finished)
    except MedsrError as error:
        return cost.on(_failed(item, key, error.code, error.fact))
    except MemoryError:
        return cost.on(_failed(item, key, "batch.memory", "the memory limit was reached"))
    except OSError as error:
        return cost.on(_failed(item, key, *_disk(error)))
    except Exception as error:  # noqa: BLE001 - one bad scan never stops a run: it becomes a row
        return cost.on(_failed(item, key, *_unknown(error)))
    return finished


@dataclass(frozen=True, slots=True)
class _Cost:
    """When a scan began, on the wall and on the processor."""

    started: float
    cpu: float
    attempts: int

    def on(self, row: Row) -> Row:
        """The row with what it took until here."""
        return replace(
            row,
            seconds=round(time.monotonic() - self.started, 3),
            cpu_seconds=round(time.process_time() - self.cpu, 3),
            peak_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            attempts=self.attempts,
        )


def _restored(item: Item, options: BatchOptions, pins: Pins, progress: Progress | None) -> Result:
    modality = None if options.modality == "auto" else cast(Modality, options.modality)
    volume = read_with_operator(
        Path(item.path), modality=modality, pick=item.pick, gaps=options.request.task == "inpaint"
    )
    request = replace(options.request, threads=1)
    result = restore_volume(volume, request, policy=options.policy, container=options.container, progress=progress)
    _check(result, pins)
    return result


def _published(item: Item, result: Result, output: Path, *, key: str) -> Row:
    name = item.bids.restored_name if item.bids else None
    release = result.save(output / "scans" / item.name, overwrite=True, name=name)
    if item.bids is not None and release.word == "released":
        place_released(release.output, output / item.bids.folder)
    write_thumbnail(output, item.name, result)
    measured = result.restoration.measured
    return Row(
        name=item.name,
        key=key,
        status="done",
        word=release.word,
        label=result.verdict.label,
        reasons=release.reasons,
        sentence=result.sentence,
        findings=len(result.judgement.findings),
        modality=measured.modality,
        shape=measured.geometry.shape,
        noise_sigma=round(result.restoration.noise.sigma, 6),
        output=release.output.relative_to(output).as_posix(),
        files=dict(release.files),
    )


def _check(result: Result, pins: Pins) -> None:
    """A bundle or policy that changed since the run began would mix two methods in one table."""
    model = result.restoration.model
    if result.policy.sha256 != pins.policy:
        raise UsageError("batch.changed", f"the policy {result.policy.name} changed while the run went on")
    if model is not None and model.sha256 not in pins.bundles:
        raise UsageError("batch.changed", f"the bundle {model.bundle} changed while the run went on")


@contextmanager
def _locked(output: Path, key: str) -> Iterator[None]:
    folder = output / ".medsr" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / key[:16], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _failed(item: Item, key: str, code: str, fact: str) -> Row:
    return Row(name=item.name, key=key, status="failed", code=code, fact=fact, remedy=REMEDIES[code])


def _disk(error: OSError) -> tuple[str, str]:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "batch.disk_full", "no room was left while the result was written"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "batch.unreadable", "the system does not permit reading the scan or writing its result"
    return "batch.system", f"the system refused: {os.strerror(error.errno) if error.errno else type(error).__name__}"


def _unknown(error: Exception) -> tuple[str, str]:
    if any(text in str(error).lower() for text in _NO_MEMORY):
        return "batch.memory", "the memory limit was reached"
    _log.exception("batch.scan_failed")
    return "batch.internal", f"an internal error of the kind {type(error).__name__}"

"""A run: find, leave out what is done, restore the rest, count."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medsr.batch.bids import is_bids, write_description
from medsr.batch.cluster import dask_client, run_dask
from medsr.batch.find import find_items, of_shard, sha256_of
from medsr.batch.index import write_index
from medsr.batch.item import BatchOptions, Item, Pins, Row, key_of
from medsr.batch.ledger import Ledger
from medsr.batch.pool import Deed, Limits, run_pool
from medsr.errors import UsageError
from medsr.release import place_released
from medsr.remedies import REMEDIES

__all__ = ["BatchSummary", "Where", "run_batch"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Where:
    """How a run is driven.

    Parameters
    ----------
    runner : ``local``, ``dask`` or ``slurm``.
    workers : processes, one thread each.
    scheduler : address of a Dask scheduler that is running, or None.
    slurm : arguments for SLURM.
    shard : part `i` of `n`, from 1, or None.
    limits : of a scan.
    """

    runner: str = "local"
    workers: int = 1
    scheduler: str | None = None
    slurm: Mapping[str, object] | None = None
    shard: tuple[int, int] | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """The rows of a run, by name, and how many of them were found done."""

    rows: tuple[Row, ...]
    resumed: int
    output: Path

    @property
    def counts(self) -> dict[str, int]:
        """Number of scans by the gate's word, and ``failed``."""
        return dict(Counter(row.word or "failed" for row in self.rows))

    def to_json(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "output": str(self.output),
            "scans": len(self.rows),
            "resumed": self.resumed,
            "counts": self.counts,
            "rows": [row.to_json() for row in self.rows],
        }


def run_batch(
    source: Path,
    output: Path,
    options: BatchOptions,
    *,
    where: Where,
    participants: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> BatchSummary:
    """Restore every scan of `source` into `output`, going on where an earlier run was stopped.

    Raises
    ------
    UsageError : ``batch.nothing``, ``batch.running``, ``batch.output``, ``batch.participants``.
    """
    items = of_shard(find_items(source, besides=output, participants=participants), where.shard)
    _check_output(output)
    output.mkdir(parents=True, exist_ok=True)
    with _only_run(output, where.shard):
        if source.is_dir() and is_bids(source):
            write_description(output, source)
        return _run(items, output, options, where, progress)


def _run(
    items: list[Item], output: Path, options: BatchOptions, where: Where, progress: Progress | None
) -> BatchSummary:
    pins, ledger = Pins.now(options.policy), Ledger(output)
    rows: dict[str, Row] = {}
    log = output / _log_name(where.shard)

    def take(row: Row) -> None:
        rows[row.name] = row
        _append(log, row)
        if row.status == "failed" and row.key:
            ledger.write(row)
        if progress is not None:
            progress(len(rows), len(items), _state(rows))

    deeds = []
    for item in items:
        deed = _deed(item)
        finished = ledger.finished(key_of(item, deed.input_sha256, options, pins)) if deed.input_sha256 else None
        if finished is not None:
            rows[item.name] = finished
            _placed(item, finished, output)
        elif not deed.input_sha256:
            code = "batch.unreadable"
            take(Row(item.name, "", "failed", code=code, fact="the scan cannot be opened", remedy=REMEDIES[code]))
        else:
            deeds.append(deed)
    resumed = sum(row.status == "done" for row in rows.values())

    def tick(name: str, done: int, total: int) -> None:
        if progress is not None:
            progress(len(rows), len(items), f"{_state(rows)}; {name} {done}/{total}".removeprefix("; "))

    try:
        _restore(deeds, options, output, pins, where, take, tick)
    finally:
        # Also after an interruption: what is there is listed.
        write_index(output, [*_others(ledger, rows), *rows.values()])
    return BatchSummary(tuple(sorted(rows.values(), key=lambda row: row.name)), resumed, output)


def _restore(
    deeds: list[Deed],
    options: BatchOptions,
    output: Path,
    pins: Pins,
    where: Where,
    take: Callable[[Row], None],
    tick: Callable[[str, int, int], None],
) -> None:
    if not deeds:
        return
    if where.runner == "local" and where.scheduler is None:
        run_pool(
            deeds,
            options,
            output,
            pins=pins,
            workers=where.workers,
            limits=where.limits,
            on_row=take,
            on_tick=tick,
        )
        return
    with dask_client(where.runner, workers=where.workers, scheduler=where.scheduler, slurm=where.slurm) as client:
        run_dask(client, deeds, options, output, pins=pins, on_row=take)


def _deed(item: Item) -> Deed:
    try:
        return Deed(item, sha256_of(Path(item.path)))
    except OSError:
        return Deed(item, "")


def _placed(item: Item, row: Row, output: Path) -> None:
    """A result that a reader let out since takes its place in the dataset."""
    if item.bids is not None and row.word == "released":
        place_released(output / row.output, output / item.bids.folder)


def _others(ledger: Ledger, rows: Mapping[str, Row]) -> Iterator[Row]:
    """The latest rows of other shards and earlier runs over the same folder, for the index."""
    yield from (row for row in ledger.rows() if row.name not in rows)


def _check_output(output: Path) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError("batch.output", f"{output.name} is a file")
    if output.is_dir() and any(output.iterdir()) and not (output / ".medsr").is_dir():
        raise UsageError("batch.output", f"{output.name} holds files that no medsr batch wrote")


@contextlib.contextmanager
def _only_run(output: Path, shard: tuple[int, int] | None) -> Iterator[None]:
    folder = output / ".medsr"
    folder.mkdir(exist_ok=True)
    handle = os.open(folder / f"{_log_name(shard)}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError("batch.running", f"another run is writing to {output.name}") from error
        yield
    finally:
        os.close(handle)


def _log_name(shard: tuple[int, int] | None) -> str:
    return "run.jsonl" if shard is None else f"run-{shard[0]}-of-{shard[1]}.jsonl"


def _append(log: Path, row: Row) -> None:
    with log.open("ab") as stream:
        stream.write(json.dumps(row.to_json(), ensure_ascii=False).encode() + b"\n")


def _state(rows: Mapping[str, Row]) -> str:
    counts = Counter(row.word or "failed" for row in rows.values())
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))

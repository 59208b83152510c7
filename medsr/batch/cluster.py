"""Runners on Dask: on this machine, on a scheduler that is running, or on SLURM.

Paths travel, never voxels; the truth lies in the ledger's files, so that a scheduler may die at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from medsr.batch.item import BatchOptions, Pins, Row, key_of
from medsr.batch.pool import Deed
from medsr.errors import MissingExtra
from medsr.remedies import REMEDIES

__all__ = ["dask_client", "run_dask"]

_RETRIES = 2
# An idle LocalCluster burns 9 % of a core with the defaults, 1.3 % with these.
_QUIET: Mapping[str, object] = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.scheduler.active-memory-manager.start": False,
    # With the default of 0.5 s an adaptive cluster cancels jobs before the first scan tells how long scans take.
    "distributed.scheduler.unknown-task-duration": "1m",
    "distributed.scheduler.allowed-failures": _RETRIES,
}


@contextmanager
def dask_client(
    runner: str, *, workers: int, scheduler: str | None = None, slurm: Mapping[str, object] | None = None
) -> Iterator[Any]:
    """A client of `scheduler`, or of a cluster that is started for this run: ``dask`` or ``slurm``.

    Parameters
    ----------
    slurm : arguments of dask_jobqueue.SLURMCluster beside one core and one process a job.

    Raises
    ------
    MissingExtra : ``batch.cluster_extra``.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingExtra("batch.cluster_extra", "more than one machine needs dask and distributed") from error
    with dask.config.set(_QUIET):
        if scheduler is not None:
            with Client(scheduler) as client:
                yield client
        elif runner == "slurm":
            with _slurm(workers, dict(slurm or {})) as cluster, Client(cluster) as client:
                yield client
        else:
            local = LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, preload=_PRELOAD
            )
            with local as cluster, Client(cluster) as client:
                yield client


def run_dask(
    client: Any,
    deeds: Sequence[Deed],
    options: BatchOptions,
    output: Path,
    *,
    pins: Pins,
    on_row: Callable[[Row], None],
) -> None:
    """Restore every scan on the workers of `client`; `on_row` is called once for each."""
    from distributed import as_completed

    futures = {
        client.submit(
            _task, deed, options, str(output.absolute()), pins, key=f"medsr-{place}-{deed.input_sha256[:16]}",
            pure=False, retries=_RETRIES,
        ): deed
        for place, deed in enumerate(deeds)
    }  # fmt: skip
    for future in as_completed(list(futures)):
        deed = futures[future]
        if future.status == "finished":
            on_row(future.result())
        else:
            key = key_of(deed.item, deed.input_sha256, options, pins)
            code, fact = "batch.worker_died", f"its worker was lost {_RETRIES + 1} times"
            on_row(Row(deed.item.name, key, "failed", code=code, fact=fact, remedy=REMEDIES[code]))
        future.release()


_PRELOAD = ["medsr.batch.preload"]


def _task(deed: Deed, options: BatchOptions, output: str, pins: Pins) -> Row:
    from medsr.batch.scan import restore_item

    return restore_item(deed.item, options, Path(output), input_sha256=deed.input_sha256, pins=pins)


def _slurm(workers: int, arguments: dict[str, object]) -> Any:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise MissingExtra("batch.cluster_extra", "SLURM needs dask-jobqueue") from error
    extra = ["--preload", _PRELOAD[0], "--lifetime-stagger", "2m"]
    cluster = SLURMCluster(**{"cores": 1, "processes": 1, "memory": "4GB", "worker_extra_args": extra, **arguments})
    # scale() never replaces a job that died; adapt() does.
    cluster.adapt(minimum_jobs=1, maximum_jobs=workers)
    return cluster

"""medsr purge"""

from __future__ import annotations

from typing import Annotated

import typer

from medsr.cli.console import say
from medsr.cli.stores import StoreFolder, opened_store
from medsr.errors import UsageError

__all__ = ["purge"]


def purge(
    study: Annotated[str | None, typer.Option("--study", help="Study Instance UID: all data of that study.")] = None,
    job: Annotated[str | None, typer.Option("--job", help="Id of one job.")] = None,
    store: StoreFolder = None,
) -> None:
    """Remove a patient's data on request: inputs, results, stages. Hashes and the audit stay.

    What waits is cancelled; what a worker still holds is asked to stop and named, to be purged by a second call.
    """
    from medsr.jobs.retention import purge as purge_job
    from medsr.jobs.retention import purge_study

    if (study is None) == (job is None):
        raise UsageError("purge.what", "give one of --study and --job")
    with opened_store(store) as held:
        if study is not None:
            found = purge_study(held, study, actor="system")
            say(f"purged: {len(found.inputs)} inputs, {len(found.jobs)} jobs")
            for waiting in found.waiting:
                say(f"still held by a worker or a destination, ask again: job {waiting}")
        elif job is not None:
            purge_job(held, job, actor="system")
            say(f"purged: job {job}")

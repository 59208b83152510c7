"""What the command line calls."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from medsr.batch.estimate import Estimate, estimate_run
from medsr.batch.find import find_items, of_shard
from medsr.batch.item import BatchOptions
from medsr.batch.run import Where
from medsr.io.encoding import Container
from medsr.records import Task
from medsr.restore.request import Method, RestoreRequest
from medsr.validation.policy import load_policy

__all__ = ["batch_options", "trial"]


def batch_options(
    *,
    task: str,
    scale: float | None,
    through: float | None,
    method: str,
    fidelity: float | None,
    samples: int,
    seed: int,
    noise: float | None,
    precision: str,
    policy: str,
    modality: str,
    container: str,
) -> BatchOptions:
    """The options of a run, checked before the first scan is opened."""
    request = RestoreRequest(
        cast(Task, task),
        scale=scale,
        through=through,
        noise=noise,
        method=cast(Method, method),
        fidelity=fidelity,
        samples=samples,
        seed=seed,
        precision=cast("Literal['auto', 'fp32', 'bf16']", precision),
        threads=1,
    )
    load_policy(policy)
    return BatchOptions(request, policy, modality, cast("Container | Literal['auto']", container))


def trial(
    source: Path, output: Path, options: BatchOptions, *, where: Where, participants: tuple[str, ...] = ()
) -> Estimate:
    """What a run would take; nothing is written."""
    items = of_shard(find_items(source, besides=output, participants=participants), where.shard)
    return estimate_run(items, options, workers=where.workers)

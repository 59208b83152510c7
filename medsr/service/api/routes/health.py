"""Whether the process answers, and whether work can be taken."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread
import sqlalchemy as sa
from fastapi import APIRouter, Response

from medsr import __version__
from medsr.errors import MedsrError
from medsr.jobs.audit import entries, head
from medsr.jobs.store import Store, writing
from medsr.jobs.watermark import room
from medsr.service.api.desk import Desk, Here
from medsr.service.api.schemas import Health, Ready
from medsr.service.pins import bundles

__all__ = ["checked", "router"]

router = APIRouter(tags=["operation"])

_PATIENCE_S = 2.0
_CLOCK_SLACK_S = 60.0
_probes = anyio.CapacityLimiter(8)


@router.get("/healthz", response_model=Health)
async def healthz() -> Health:
    """The process answers; nothing else is asked, so that a stuck store does not get it killed."""
    return Health(status="ok", version=__version__)


@router.get(
    "/readyz",
    response_model=Ready,
    responses={503: {"description": "Not ready; the checks say why.", "model": Ready}},
)
async def readyz(response: Response, desk: Here) -> Ready:
    """Whether the store can be written, the weights hash to their manifests, the disk has room, the clock is right."""
    checks = dict.fromkeys(("store", "disk", "clock", "weights"), "store.busy")
    async with anyio.create_task_group() as group:
        for name in checks:
            group.start_soon(_probe, desk, name, checks)
    ready = all(word == "ok" for word in checks.values())
    response.status_code = 200 if ready else 503
    return Ready(ready=ready, checks=checks)


async def _probe(desk: Desk, name: str, checks: dict[str, str]) -> None:
    """A check that hangs is left behind, and is not ready."""
    with anyio.move_on_after(_PATIENCE_S):
        checks[name] = await anyio.to_thread.run_sync(
            partial(checked, desk.store, name), abandon_on_cancel=True, limiter=_probes
        )


def checked(store: Store, name: str) -> str:
    """``ok``, or the reason code of what is wrong."""
    try:
        return _CHECKS[name](store)
    except MedsrError as error:
        return error.code
    except OSError:
        return "store.read_only"


def _writable(store: Store) -> str:
    with writing(store) as connection:
        connection.execute(sa.text("SELECT 1"))
    probe = store.files.incoming / ".ready.part"
    probe.write_bytes(b"")
    probe.unlink(missing_ok=True)
    return "ok"


def _disk(store: Store) -> str:
    return "ok" if room(store).enough else "store.full"


def _clock(store: Store) -> str:
    """A clock behind the newest audit entry was set back: leases do not mind, expiry dates and records do."""
    last = entries(store, after=head(store).seq - 1, limit=1)
    return "ok" if not last or store.now() >= last[0].at - _CLOCK_SLACK_S else "store.clock"


def _weights(_: Store) -> str:
    return "ok" if bundles() else "bundle.none"


_CHECKS = {"store": _writable, "disk": _disk, "clock": _clock, "weights": _weights}

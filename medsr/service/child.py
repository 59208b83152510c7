"""What a process of the service runs: python -m medsr.service.child api|worker PULSE PARENT, settings on stdin."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from medsr.jobs.store import Limits, Store, open_store
from medsr.service.logs import configure_logs
from medsr.service.settings import ServiceSettings

__all__ = ["limits_of", "main", "opened"]

_PR_SET_PDEATHSIG = 1
_FRAMEWORKS = ("torch", "monai", "diffusers")
_DAY_S = 86_400.0
_PULSE_S = 5.0


def main(arguments: list[str]) -> None:
    """Be the named role until told to stop."""
    role, pulse, parent, *descriptors = arguments
    die_with(int(parent))
    settings = ServiceSettings.model_validate_json(sys.stdin.buffer.read())
    configure_logs(level=settings.log_level.upper())
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    store = opened(settings, create=False)
    if role == "worker":
        from medsr.service.worker import run_worker

        run_worker(store, settings, pulse=_pulse(int(pulse)))
    else:
        _serve(store, settings, int(descriptors[0]), _pulse(int(pulse)))


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; a worker without supervisor would outlive its service."""
    ctypes.CDLL("libc.so.6", use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)


def opened(settings: ServiceSettings, *, create: bool) -> Store:
    """The store of these settings.

    Raises
    ------
    UsageError, IntegrityError, Unavailable : as :func:`medsr.jobs.store.open_store`.
    """
    return open_store(settings.store, url=settings.database_url or None, limits=limits_of(settings), create=create)


def limits_of(settings: ServiceSettings) -> Limits:
    """The store's figures as the site set them."""
    refused = settings.refused_days * _DAY_S
    released = settings.released_days * _DAY_S
    return Limits(
        lease_s=settings.lease_s,
        attempts=settings.attempts,
        most_queued=settings.most_queued,
        most_queued_by_owner=settings.most_queued_by_owner,
        busy_s=settings.store_busy_s,
        min_free_bytes=settings.min_free_bytes,
        min_free_fraction=settings.min_free_fraction,
        ballast_bytes=settings.ballast_bytes,
        wal_bytes=settings.wal_bytes,
        keep_s={
            **Limits().keep_s, "released": released, "withdrawn": released, "rejected": refused, "blocked": refused,
            "review": settings.review_days * _DAY_S, "failed": settings.failed_days * _DAY_S,
        },
    )  # fmt: skip


def _serve(store: Store, settings: ServiceSettings, handle: int, pulse: Callable[[], None]) -> None:
    """The api on a socket that the supervisor bound: a restart loses no connection that waits there."""
    for name in _FRAMEWORKS:
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it raises: no scan and no model is touched here
    import uvicorn

    from medsr.service.api.app import create_app
    from medsr.service.api.protocol import guarded
    from medsr.service.page.routes import page_router

    async def notify() -> None:
        pulse()

    pulse()
    configuration = uvicorn.Config(
        create_app(store, settings, routers=[page_router(store)]),
        http=guarded(settings),
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=max(int(settings.drain_s / 2), 1),
        callback_notify=notify,
        timeout_notify=int(_PULSE_S),
    )
    uvicorn.Server(configuration).run(sockets=[socket.socket(fileno=handle)])


def _pulse(handle: int) -> Callable[[], None]:
    os.set_blocking(handle, False)

    def beat() -> None:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(handle, b".")

    return beat


if __name__ == "__main__":
    main(sys.argv[1:])

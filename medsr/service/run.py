"""`medsr serve`: check the settings, open the store, bind the socket, start the processes."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

from medsr.errors import UsageError
from medsr.jobs.claims import reap
from medsr.jobs.keys import first_key
from medsr.jobs.lock import hold_instance
from medsr.jobs.store import Store, close_store
from medsr.release.record import make_signing_key
from medsr.service.child import opened
from medsr.service.logs import configure_logs
from medsr.service.settings import ServiceSettings, refuse_exposure
from medsr.service.supervisor import Role, supervise
from medsr.service.work_folder import clear_work

__all__ = ["PROCESSES", "Process", "serve"]

Process = Literal["api", "worker"]
PROCESSES: tuple[Process, ...] = ("api", "worker")

SIGNING_KEY = "signing-key.pem"
_BACKLOG = 2048
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def serve(
    settings: ServiceSettings,
    *,
    only: Sequence[Process] = PROCESSES,
    limits: Mapping[str, str] | None = None,
    say: Callable[[str], None],
    say_key: Callable[[str], None],
) -> int:
    """Run the service until SIGTERM; returns the exit code.

    Parameters
    ----------
    only : the processes to run here.
    limits : MEDSR_ variables of the configuration file, for the children.
    say : takes a line for people. say_key : takes the administrator's key, once in the life of a store.

    Raises
    ------
    UsageError : ``serve.*``, ``store.locked``, if another instance serves this store.
    """
    refuse_exposure(settings)
    settings = settings.model_copy(update={"store": settings.store.absolute()})
    configure_logs(level=settings.log_level.upper())
    with ExitStack() as stack:
        listening = stack.enter_context(_bound(settings)) if "api" in only else None
        settings.store.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not settings.database_url:
            stack.enter_context(hold_instance(settings.store))
        store = opened(settings, create=True)
        try:
            _prepare(store, settings, say_key)
        finally:
            close_store(store)  # children open it for themselves
        environment = {**os.environ, **_ONE_THREAD, **(limits or {}), "MEDSR_SIGNING_KEY": _signing_key(settings)}

        def ready() -> None:
            say(_sentence(settings, only, listening))

        return supervise(
            list(_roles(settings, only, listening)), environment=environment, drain_s=settings.drain_s, ready=ready
        )


def _prepare(store: Store, settings: ServiceSettings, say_key: Callable[[str], None]) -> None:
    reap(store)
    clear_work(store, all_of_it=not settings.database_url)
    made = first_key(store)
    if made is not None:
        say_key(made.secret)


def _roles(settings: ServiceSettings, only: Sequence[Process], listening: socket.socket | None) -> Iterator[Role]:
    given = settings.model_dump_json().encode()
    program = [sys.executable, "-m", "medsr.service.child"]
    if listening is not None:
        handle = listening.fileno()
        command = [*program, "api", "{pulse}", str(os.getpid()), str(handle)]
        yield Role("api", command, given, (handle,), first=True)
    if "worker" in only:
        for number in range(1, settings.worker_count + 1):
            yield Role(f"worker-{number}", [*program, "worker", "{pulse}", str(os.getpid())], given)


@contextmanager
def _bound(settings: ServiceSettings) -> Iterator[socket.socket]:
    """The listening socket, bound here so that a port in use is said at once and a restart of the api loses nobody."""
    fact = f"port {settings.port} of {settings.host[:60]} cannot be bound"
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError("serve.port", fact) from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError as error:
            raise UsageError("serve.port", fact) from error
        yield listening


def _signing_key(settings: ServiceSettings) -> str:
    """The key that releases are signed with: the site's, else the store's own, made before processes could race."""
    stated = os.environ.get("MEDSR_SIGNING_KEY")
    if stated:
        return stated
    path = settings.store / SIGNING_KEY
    if not path.is_file():
        make_signing_key(path)
    return str(path)


def _sentence(settings: ServiceSettings, only: Sequence[Process], listening: socket.socket | None) -> str:
    parts = [f"store {settings.store}"]
    if "worker" in only:
        count = settings.worker_count
        parts.append(f"{count} worker{'s' if count != 1 else ''}")
    if listening is None:
        return f"medsr works: {', '.join(parts)}"
    host, port = listening.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    shown = f"[{host}]" if ":" in host else host
    return f"medsr serves {scheme}://{shown}:{port}/review ({', '.join(parts)}); research software, not a device"

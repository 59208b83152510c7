"""Starts the processes of a service, starts them again when they die, and ends them on SIGTERM. It computes nothing.

Each child has a pipe on which it writes a byte at every heartbeat: one that is silent, because it was stopped or its
interpreter hangs, is killed and started again. Children die with the supervisor (a signal of the kernel).
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

__all__ = ["Role", "supervise"]

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 30.0
_SOUND_S = 60.0
"""A child that lived so long starts with no pause after its death."""
_TICK_S = 0.2
_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})

_log = structlog.get_logger("medsr.service")


@dataclass(frozen=True, slots=True)
class Role:
    """A process that shall run.

    Parameters
    ----------
    command : its program; ``{pulse}`` stands for the number of the descriptor it writes its pulse to.
    given : bytes on its standard input. descriptors : further ones that it inherits.
    first : it is told to stop before the others: intake ends, what was taken in is worked off.
    silent_s : it may give no sign for so long. start_s : until its first one.
    """

    name: str
    command: Sequence[str]
    given: bytes = field(default=b"", repr=False)
    descriptors: tuple[int, ...] = ()
    first: bool = False
    silent_s: float = 30.0
    start_s: float = 180.0


@dataclass(slots=True, eq=False)
class _Child:
    role: Role
    process: subprocess.Popen[bytes] | None = None
    pulse: int = -1
    pause_s: float = 0.0
    due: float = 0.0
    started: float = 0.0
    last: float = 0.0
    alive_once: bool = False


def supervise(
    roles: Sequence[Role],
    *,
    environment: Mapping[str, str],
    drain_s: float,
    ready: Callable[[], None] = lambda: None,
    on_restart: Callable[[str, int], None] = lambda *_: None,
) -> int:
    """Run every role until SIGTERM or SIGINT; returns 0 if all ended in time, else 1.

    Parameters
    ----------
    ready : called once, when every child has given its first sign.
    on_restart : told the role and how its process ended, before it starts again.
    """
    children = [_Child(role) for role in roles]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        told = False
        while True:
            for child in children:
                _tend(child, environment, on_restart)
            if not told and all(child.alive_once for child in children):
                told = True
                ready()
            heard = signal.sigtimedwait(_SIGNALS, _TICK_S)
            if heard is not None and heard.si_signo != signal.SIGCHLD:
                return _drain(children, drain_s)
    finally:
        for child in children:
            _kill(child)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _tend(child: _Child, environment: Mapping[str, str], on_restart: Callable[[str, int], None]) -> None:
    now = time.monotonic()
    if child.process is None:
        if now >= child.due:
            _start(child, environment, now)
        return
    if _heard(child):
        child.last, child.alive_once = now, True
    code = child.process.poll()
    if code is None:
        patience = child.role.silent_s if child.last > child.started else child.role.start_s
        if now - child.last > patience:
            _log.warning("child.silent", process=child.role.name, pid=child.process.pid)
            child.process.kill()
        return
    _close(child)
    child.pause_s = (
        0.0 if now - child.started > _SOUND_S else min(child.pause_s * 2 or _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
    )
    child.due = now + child.pause_s
    _log.warning("child.died", process=child.role.name, exit=code, seconds=round(child.pause_s, 3))
    on_restart(child.role.name, code)


def _start(child: _Child, environment: Mapping[str, str], now: float) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    try:
        command = [part.replace("{pulse}", str(theirs)) for part in child.role.command]
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            command, stdin=subprocess.PIPE, env=dict(environment), pass_fds=(theirs, *child.role.descriptors)
        )
    finally:
        os.close(theirs)
    child.process, child.pulse, child.started, child.last = process, ours, now, now
    _log.info("child.started", process=child.role.name, pid=process.pid)
    if process.stdin is not None:
        try:
            process.stdin.write(child.role.given)
            process.stdin.close()
        except BrokenPipeError:
            return  # it died at once, as the next look will find


def _heard(child: _Child) -> bool:
    try:
        return bool(os.read(child.pulse, 4096))
    except BlockingIOError:
        return False


def _drain(children: Sequence[_Child], drain_s: float) -> int:
    """Intake first, then the rest; whoever is late is killed, and its job goes back with its lease."""
    until = time.monotonic() + drain_s
    _log.info("service.drains", seconds=drain_s)
    for child in sorted(children, key=lambda item: not item.role.first):
        if child.process is not None:
            child.process.terminate()
    late = False
    for child in children:
        if child.process is not None:
            try:
                child.process.wait(max(until - time.monotonic(), 0.01))
            except subprocess.TimeoutExpired:
                late = True
                _log.warning("child.late", process=child.role.name)
                _kill(child)
    return int(late)


def _kill(child: _Child) -> None:
    if child.process is not None:
        child.process.kill()
        child.process.wait()
        _close(child)


def _close(child: _Child) -> None:
    os.close(child.pulse)
    child.process, child.pulse = None, -1

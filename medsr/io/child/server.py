"""The process that forks reader children: it has the parsers imported and reads nothing but file descriptors.

Forking is cheap (21 ms measured against 1.2 s for an interpreter with the parsers), and the forked child starts
with the same small address space whatever the asking process has loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import select
import signal
import socket
from dataclasses import dataclass

import numpy as np

from medsr.io.child import limits, work
from medsr.io.child.protocol import GRANT, STATUS, Broken, receive, receive_descriptors, send
from medsr.io.child.task import Task
from medsr.io.planes import Declared, Planes, planes_of

__all__ = ["main"]

_CHANNEL = 3
_DIE_WITH_PARENT = 1


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    watch: int
    status: int


def main(descriptor: int) -> None:
    """Fork a child for each pair of descriptors that arrives, until the asking process has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=descriptor)
    control.sendall(b"ready")
    poller = select.poll()
    poller.register(control, select.POLLIN)
    children: dict[int, _Child] = {}
    while True:
        for handle, _events in poller.poll():
            if handle == control.fileno():
                _, received = receive_descriptors(control, 8, 2)
                if len(received) != 2:
                    _kill(children)
                    return
                child = _fork(received[0], received[1])
                children[child.watch] = children[child.status] = child
                poller.register(child.watch, select.POLLIN)
                poller.register(child.status, 0)  # errors only: the asking process has closed its end
            elif handle in children:
                child = children[handle]
                if handle == child.status:
                    os.kill(child.pid, signal.SIGKILL)
                    poller.unregister(child.status)
                else:
                    _reap(child, poller, children)


def _fork(channel: int, status: int) -> _Child:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _become_child(channel)
            code = 0
        finally:
            os._exit(code)
    os.close(channel)
    return _Child(pid, os.pidfd_open(pid), status)


def _reap(child: _Child, poller: select.poll, children: dict[int, _Child]) -> None:
    _, status, usage = os.wait4(child.pid, 0)
    for handle in (child.watch, child.status):
        del children[handle]
        with contextlib.suppress(KeyError):
            poller.unregister(handle)
    with contextlib.suppress(OSError):
        os.write(child.status, STATUS.pack(status, usage.ru_maxrss * 1024))
    os.close(child.watch)
    os.close(child.status)


def _kill(children: dict[int, _Child]) -> None:
    for child in set(children.values()):
        os.kill(child.pid, signal.SIGKILL)


def _become_child(channel: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if channel != _CHANNEL:
        os.dup2(channel, _CHANNEL)
    os.closerange(_CHANNEL + 1, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 1 << 20 else 1 << 20)
    stream = socket.socket(fileno=_CHANNEL)
    request = receive(stream)
    if request is None:
        return
    work.install_settings(request.record["settings"])
    first = limits.Limits(*(int(figure) for figure in request.record["limits"]))  # type: ignore[attr-defined]  # ours
    limits.apply(first)
    task = Task.from_record(request.record["task"])
    reply = work.answer(task, _Grant(stream), at=lambda name: send(stream, {"at": name}))
    send(stream, reply.record, reply.blob)


class _Grant:
    """Shared memory made and sized by the asking process once it has judged the declared shape."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream

    def __call__(self, declared: Declared) -> Planes:
        send(self._stream, {"declare": declared.to_record()})
        data, received = receive_descriptors(self._stream, GRANT.size, 1)
        if len(data) != GRANT.size or len(received) != 1:
            raise Broken("no grant")
        size, memory, cpu = GRANT.unpack(data)
        limits.apply(limits.Limits(memory, cpu))
        shared = mmap.mmap(received[0], size)
        os.close(received[0])
        return planes_of(np.frombuffer(shared, np.uint8), declared.shape)

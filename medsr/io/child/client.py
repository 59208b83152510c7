"""Asking a reader child: from any thread, any process, also a forked or daemonic one."""

from __future__ import annotations

import atexit
import contextlib
import math
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from medsr.errors import MedsrError, MissingExtra, Refusal, UsageError
from medsr.io.child.limits import Limits, first_limits, limits_for
from medsr.io.child.protocol import GRANT, STATUS, Broken, Message, receive, send, send_descriptors
from medsr.io.child.task import Task
from medsr.io.planes import Planes, planes_of
from medsr.io.text import shown
from medsr.remedies import REMEDIES
from medsr.settings import settings

__all__ = ["Answer", "ask"]

_START = "import sys; from medsr.io.child.server import main; main(int(sys.argv[1]))"
_START_SECONDS, _EXIT_SECONDS = 60.0, 10.0
_KINDS: Mapping[str, type[MedsrError]] = {"UsageError": UsageError, "MissingExtra": MissingExtra}
_CARRIED = ("reader_", "max_")


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a child found, and what it took.

    planes is None where the task reads no voxels.
    """

    record: Mapping[str, object]
    blob: bytes = field(repr=False)
    planes: Planes | None
    largest_resident_bytes: int


def ask(task: Task) -> Answer:
    """Have a task done by a child of its own.

    Raises
    ------
    Refusal : what the child refuses; ``reader.died`` if it was killed by a signal, ``reader.limit`` if it took more
        than :mod:`medsr.io.child.limits` allows, ``reader.failed`` if it answered nothing sensible.
    UsageError : what the child finds wrong with the request.
    """
    sizes = [Path(name).stat().st_size for name in task.files]
    first = first_limits(files=len(sizes), input_bytes=sum(sizes), largest_file=max(sizes, default=0))
    with _Conversation(task, first) as talk:
        return talk.answer()


class _Conversation:
    """One request, from the sockets to the child's end."""

    def __init__(self, task: Task, first: Limits) -> None:
        self._task, self._limits = task, first
        self._at = task.name
        self._rss = 0
        self._granted: Planes | None = None
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        self._channel, self._status = ours, os.fdopen(read_end, "rb", buffering=0)
        try:
            _give(theirs.fileno(), write_end)
        except BaseException:
            self.__exit__()
            raise
        finally:
            theirs.close()
            os.close(write_end)
        self._deadline = self._later(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Closing the status pipe is also how a child that still runs is told to end."""
        self._channel.close()
        self._status.close()

    def answer(self) -> Answer:
        final: Message | None = None
        try:
            carried = {key: value for key, value in settings().model_dump().items() if key.startswith(_CARRIED)}
            limits = [self._limits.memory_bytes, self._limits.cpu_s]
            send(self._channel, {"settings": carried, "limits": limits, "task": self._task.to_record()})
            final = self._listen()
        except TimeoutError:
            raise Refusal("reader.limit", f"reading {self._at} took longer than its size justifies") from None
        except (Broken, ConnectionError):
            final = None
        signal_number = self._end()
        if final is None:
            raise self._dead(signal_number)
        _raise_failure(final.record)
        return Answer(final.record, final.blob, self._granted, self._rss)

    def _listen(self) -> Message | None:
        while True:
            self._channel.settimeout(max(0.01, self._deadline - time.monotonic()))
            message = receive(self._channel)
            if message is None:
                return None
            if "at" in message.record:
                self._at = shown(message.record["at"])
            elif "declare" in message.record:
                self._grant(message.record["declare"])
            else:
                return message

    def _grant(self, declared: object) -> None:
        if self._granted is not None:
            raise Broken("declared twice")
        shape, compressed = _judged(declared)
        size = 5 * math.prod(shape)
        self._limits = limits_for(self._limits, volume_bytes=size, compressed_pixels=compressed)
        self._deadline = self._later(self._limits)
        handle = os.memfd_create("medsr-volume", os.MFD_CLOEXEC)
        try:
            os.ftruncate(handle, size)
            shared = mmap.mmap(handle, size)
            data = GRANT.pack(size, self._limits.memory_bytes, self._limits.cpu_s)
            send_descriptors(self._channel, data, [handle])
        finally:
            os.close(handle)
        self._granted = planes_of(np.frombuffer(shared, np.uint8), shape)

    def _later(self, limits: Limits) -> float:
        return time.monotonic() + settings().reader_wall_factor * limits.cpu_s

    def _end(self) -> int:
        """The signal that ended the child, 0 for none; kept until it has gone, so that nothing is left behind."""
        self._channel.close()
        ready, _, _ = select.select([self._status], [], [], max(_EXIT_SECONDS, self._deadline - time.monotonic()))
        if not ready:
            raise Refusal("reader.limit", f"the reader of {self._at} does not end")
        data = self._status.read(STATUS.size) or b""
        if len(data) != STATUS.size:
            return signal.SIGKILL
        status, self._rss = STATUS.unpack(data)
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0

    def _dead(self, number: int) -> Refusal:
        if number == signal.SIGXCPU:
            return Refusal("reader.limit", f"reading {self._at} took more than {self._limits.cpu_s} s of CPU")
        if number:
            name = signal.Signals(number).name
            return Refusal("reader.died", f"the decoder died on {self._at} ({name})")
        return Refusal("reader.failed", f"the reader gave no answer on {self._at}")


class _Server:
    """The forking process of this process, started when first needed and ended with it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.getpid()
        self._control = ours
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and a constant program
                [sys.executable, "-P", "-c", _START, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),), env=environment, cwd="/",
                start_new_session=True,  # Ctrl-C is for the asking process, which then closes its end
            )  # fmt: skip
        ours.settimeout(_START_SECONDS)
        with contextlib.suppress(OSError):
            if ours.recv(8) == b"ready":
                return
        self.close()
        raise Refusal("reader.failed", "the reader process does not start")

    def give(self, channel: int, status: int) -> None:
        send_descriptors(self._control, b"go", [channel, status])

    def close(self) -> None:
        self._control.close()
        try:
            self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def alive(self) -> bool:
        return self.pid == os.getpid() and self._process.poll() is None


_lock = threading.Lock()
_servers: list[_Server] = []


def _server() -> _Server:
    with _lock:
        if _servers and _servers[-1].alive:
            return _servers[-1]
        if _servers and _servers[-1].pid == os.getpid():
            _servers.pop().close()
        _servers.append(_Server())
        return _servers[-1]


def _give(channel: int, status: int) -> None:
    try:
        _server().give(channel, status)
    except ConnectionError:  # it died since it was last looked at
        _close_server()
        _server().give(channel, status)


def _close_server() -> None:
    if _servers and _servers[-1].pid == os.getpid():
        _servers.pop().close()


def _renew_lock() -> None:
    """A fork may have copied the lock while another thread held it."""
    global _lock  # noqa: PLW0603 -- a module has one lock, and a forked process needs a fresh one
    _lock = threading.Lock()


atexit.register(_close_server)
os.register_at_fork(after_in_child=_renew_lock)


def _judged(declared: object) -> tuple[tuple[int, int, int], int]:
    """The child's word on sizes, judged again: it has read hostile bytes."""
    limits = settings()
    record = declared if isinstance(declared, dict) else {}
    shape, compressed = record.get("shape"), record.get("compressed_pixels")
    sound = isinstance(shape, list) and len(shape) == 3 and isinstance(compressed, int) and compressed >= 0
    if not sound or not all(isinstance(n, int) and 1 <= n <= limits.max_side for n in shape):  # type: ignore[union-attr]  # sound
        raise Broken("no shape")
    sizes = (int(shape[0]), int(shape[1]), int(shape[2]))  # type: ignore[index]  # sound
    if math.prod(sizes) > limits.max_voxels or compressed > 2 * math.prod(sizes):  # type: ignore[operator]  # sound
        raise Broken("no shape")
    return sizes, int(compressed)  # type: ignore[arg-type]  # sound


def _raise_failure(record: Mapping[str, object]) -> None:
    failed = record.get("failed")
    if failed is None:
        return
    facts = failed if isinstance(failed, dict) else {}
    code, fact = str(facts.get("code")), shown(facts.get("fact"), longest=500)
    if code not in REMEDIES:
        code, fact = "reader.failed", "the reader answered with an unknown reason"
    kind: type[MedsrError] = _KINDS.get(str(facts.get("kind")), Refusal)
    raise kind(code, fact)

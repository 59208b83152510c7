"""A mutation fuzzer for the reader child: mutants are read in forked children under the child's own limits.

A child that dies on a mutant is what the reader child is for, and is counted; what may never happen is an untyped
exception (``reader.failed``), a mutant that takes more than ten seconds, or memory over the limit.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medsr.io.child import work
from medsr.io.child.task import Task
from medsr.io.planes import Declared, Planes

__all__ = ["Case", "Report", "fuzz"]

SECONDS_A_MUTANT = 10
MEMORY_ABOVE_START = 1 << 30
_BATCH = 200
_INTERESTING = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)
_LENGTHS = (0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE)


@dataclass(frozen=True)
class Case:
    """A sound file to mutate.

    region names the bytes to change, half open; None is the whole file. wrap makes the file of the mutant, for
    bytes that lie inside a container.
    """

    name: str
    data: bytes
    suffix: str
    verb: str = "dicom"
    region: tuple[int, int] | None = None
    wrap: Callable[[bytes], bytes] = lambda data: data


@dataclass
class Report:
    """What the mutants of one case did."""

    codes: Counter[str] = field(default_factory=Counter)
    died: Counter[str] = field(default_factory=Counter)
    escapes: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    largest_resident_bytes: int = 0

    @property
    def mutants(self) -> int:
        """How many were read."""
        return sum(self.codes.values()) + sum(self.died.values())


def fuzz(case: Case, folder: Path, *, mutants: int = 1 << 62, seconds: float = 1e9, seed: int = 0) -> Report:
    """Read mutants of a case until so many were read or so much time has passed."""
    report, end, number = Report(), time.monotonic() + seconds, seed << 32
    while report.mutants < mutants and time.monotonic() < end:
        count = min(_BATCH, mutants - report.mutants)
        number += _batch(case, folder, range(number, number + count), report)
    return report


def mutant(case: Case, number: int) -> bytes:
    """The mutant of that number: the same on every run."""
    rng = random.Random(f"{case.name} {number}")  # noqa: S311 -- mutants, not secrets
    data = bytearray(case.data)
    start, stop = case.region or (0, len(data))
    stop = min(stop, start + rng.choice((200, 1000, stop - start)))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(start, stop)
        kind = rng.randrange(4)
        if kind == 0:
            data[place] = rng.randrange(256)
        elif kind == 1:
            data[place] = rng.choice(_INTERESTING)
        elif kind == 2:
            data[place] ^= 1 << rng.randrange(8)
        elif place + 4 <= stop:
            struct.pack_into(rng.choice("<>") + "I", data, place, rng.choice(_LENGTHS))
    fate = rng.random()
    if fate < 0.1:
        del data[rng.randrange(start, stop) :]
    elif fate < 0.15:
        place = rng.randrange(start, stop)
        data[place:place] = data[place : place + rng.randrange(64)]
    return case.wrap(bytes(data))


def _batch(case: Case, folder: Path, numbers: range, report: Report) -> int:
    """Read mutants in one child; how many it got through, the one it died on included."""
    path = folder / f"{case.name}-{os.getpid()}{case.suffix}"
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        try:
            _child(case, path, numbers, write_end)
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answers:
        lines = answers.read().splitlines()
    _, status, usage = os.wait4(pid, 0)
    path.unlink(missing_ok=True)
    report.largest_resident_bytes = max(report.largest_resident_bytes, usage.ru_maxrss * 1024)
    for line in lines:
        number, code, fact, taken = json.loads(line)
        report.codes[code] += 1
        report.slowest_s = max(report.slowest_s, taken)
        if code == "reader.failed":
            report.escapes.append(f"{case.name} {number}: {fact}")
    done = len(lines)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        report.died[name] += 1
        if name == "SIGALRM":
            report.escapes.append(f"{case.name} {numbers[done]}: more than {SECONDS_A_MUTANT} s")
        done += 1
    return done


def _child(case: Case, path: Path, numbers: Sequence[int], answers: int) -> None:
    quiet = os.open("/dev/null", os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_ABOVE_START
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in numbers:
        path.write_bytes(mutant(case, number))
        signal.setitimer(signal.ITIMER_REAL, SECONDS_A_MUTANT)
        started = time.monotonic()
        reply = work.answer(Task(case.verb, path.name, (str(path),)), _planes, at=lambda _name: None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        failed = reply.record.get("failed")
        code, fact = (failed["code"], failed["fact"]) if isinstance(failed, dict) else ("read", "")
        os.write(answers, json.dumps([number, code, fact, time.monotonic() - started]).encode() + b"\n")


def _planes(declared: Declared) -> Planes:
    return Planes(np.zeros(declared.shape, np.float32, order="F"), np.zeros(declared.shape, bool, order="F"))

"""The reader child: what dies, hangs or hogs there is a refusal here, and nothing is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.dicom import image, save, series, stored_planes
from support.nifti import header, write
from support.workers import put_sum

from medsr.errors import MedsrError, Refusal
from medsr.io import read
from medsr.io.child import client, limits
from medsr.io.child.protocol import Broken, receive, send
from medsr.io.child.task import Task
from medsr.io.dicom import decode
from medsr.settings import settings

Patched = Callable[[str], int]


@pytest.fixture(scope="module")
def replaced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[client._Server]]]:
    """A server whose children run a file's text in place of the decoder: one start for all tests of this module."""
    body = tmp_path_factory.mktemp("decoder") / "body.py"
    lines = [
        "import os, time, sys",
        "import medsr.io.dicom.read as reading",
        f"reading.decode = lambda *args, **options: exec(open({str(body)!r}).read(), globals())",
    ]
    servers: list[client._Server] = []
    started, before = client._START, list(client._servers)
    client._START = "\n".join([*lines, started])
    client._servers.clear()
    try:
        servers.append(client._server())
    finally:
        client._START = started
        client._servers[:] = before
    yield body, servers
    servers[0].close()


@pytest.fixture
def patched(replaced: tuple[Path, list[client._Server]]) -> Iterator[Patched]:
    """Read with another decoder: ``patched("os.abort()")``."""
    body, servers = replaced
    before = list(client._servers)
    client._servers[:] = servers
    yield body.write_text
    client._servers[:] = before
    settings.cache_clear()


def slices(folder: Path) -> Path:
    series(folder, 3)
    return folder


def refusal(path: Path) -> MedsrError:
    with pytest.raises(MedsrError) as caught:
        read(path)
    return caught.value


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGBUS"])
def test_a10_a_dying_decoder_is_a_refusal_that_names_the_file(tmp_path: Path, patched: Patched, name: str) -> None:
    patched(f"import signal\nos.kill(os.getpid(), signal.{name})")
    error = refusal(slices(tmp_path))
    assert error.code == "reader.died"
    assert name in error.fact
    assert ".dcm" in error.fact


def test_a10_after_a_death_the_next_scan_is_read(tmp_path: Path, patched: Patched) -> None:
    patched("os.abort()")
    assert refusal(slices(tmp_path / "a")).code == "reader.died"
    scan = write(tmp_path / "b.nii", header(), (np.arange(360) + 1).astype("<i2").tobytes())
    assert read(scan, modality="MR").values[0, 0, 0] == 1.0


def test_a10_a_panic_past_exception_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """M26: decoders written in Rust panic with classes that `except Exception` lets through."""

    class PanicError(BaseException):
        pass

    def panic(_frame: bytes, _form: decode.PlaneFormat) -> None:
        raise PanicError

    monkeypatch.setitem(decode._DECODERS, "1.2.840.10008.1.2.5", ("", panic))
    with pytest.raises(Refusal) as caught:
        decode.decode(b"\0" * 64, "1.2.840.10008.1.2.5", decode.PlaneFormat(4, 4, 16, 12, signed=False), name="a")
    assert caught.value.code == "pixel.broken"


def test_memory_beyond_the_limit_is_a_refusal(tmp_path: Path, patched: Patched) -> None:
    patched("held = []\nwhile True:\n    held.append(bytearray(1 << 26))")
    assert refusal(slices(tmp_path)).code == "reader.limit"


def test_cpu_beyond_the_limit_is_a_refusal(tmp_path: Path, patched: Patched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSR_READER_CPU_BASE_S", "1")
    settings.cache_clear()
    patched("while True:\n    pass")
    error = refusal(slices(tmp_path))
    assert error.code == "reader.limit"
    assert "1 s of CPU" in error.fact


def test_a_child_that_sleeps_is_ended(tmp_path: Path, patched: Patched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSR_READER_CPU_BASE_S", "1")
    monkeypatch.setenv("MEDSR_READER_WALL_FACTOR", "1")
    settings.cache_clear()
    patched("time.sleep(600)")
    started = time.monotonic()
    assert refusal(slices(tmp_path)).code == "reader.limit"
    assert time.monotonic() - started < 10
    wait_for(lambda: children_of(client._servers[-1]._process.pid) == [])


@pytest.mark.parametrize("figure", ["resource.RLIMIT_NOFILE", "resource.RLIMIT_CORE", "resource.RLIMIT_FSIZE"])
def test_the_child_runs_under_its_limits(tmp_path: Path, patched: Patched, figure: str) -> None:
    patched(f"import resource\nraise ConnectionError if resource.getrlimit({figure})[1] > 16 else RuntimeError")
    error = refusal(slices(tmp_path))
    assert "RuntimeError" in error.fact


def test_the_child_cannot_write_files(tmp_path: Path, patched: Patched) -> None:
    target = tmp_path / "written"
    patched(f"with open({str(target)!r}, 'wb') as file:\n    file.write(b'x' * 9999)")
    assert refusal(slices(tmp_path / "scan")).code == "io.unreadable"
    assert not target.exists() or target.stat().st_size == 0


def test_the_child_holds_no_torch(tmp_path: Path, patched: Patched) -> None:
    patched("raise ConnectionError if 'torch' in sys.modules else RuntimeError")
    assert "RuntimeError" in refusal(slices(tmp_path)).fact


def test_a_reader_that_answers_rubbish_is_a_refusal(tmp_path: Path, patched: Patched) -> None:
    patched("os.write(3, b'\\xff' * 64)\nos._exit(0)")
    assert refusal(slices(tmp_path)).code == "reader.failed"


def test_a_child_may_declare_one_volume(tmp_path: Path, patched: Patched) -> None:
    patched(
        "import struct, json\n"
        "text = json.dumps({'declare': {'shape': [9, 9, 9], 'compressed_pixels': 0}}).encode()\n"
        "os.write(3, struct.pack('<II', len(text), 0) + text)\ntime.sleep(0.2)\nos._exit(0)"
    )
    assert refusal(slices(tmp_path)).code == "reader.failed"


def test_a_server_that_died_is_started_again(tmp_path: Path) -> None:
    folder = slices(tmp_path)
    read(folder)
    os.kill(client._servers[-1]._process.pid, signal.SIGKILL)
    client._servers[-1]._process.wait()
    assert read(folder).geometry.shape == (20, 16, 3)


def test_limits_come_from_bytes_that_are_there() -> None:
    """M24's other half: what a header claims enters only once it was held against the bytes."""
    first = limits.first_limits(files=1, input_bytes=10_000, largest_file=10_000)
    assert first.memory_bytes < (1 << 30) + 100_000
    assert first.cpu_s == 10
    raised = limits.limits_for(first, volume_bytes=64 << 20, compressed_pixels=0)
    assert raised.memory_bytes == first.memory_bytes + 4 * (64 << 20)
    assert raised.cpu_s == 11
    huge = limits.limits_for(first, volume_bytes=1 << 45, compressed_pixels=0)
    assert huge.memory_bytes <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


@pytest.mark.parametrize(
    "declared",
    [
        None,
        {},
        {"shape": [1, 2]},
        {"shape": [10**6] * 3, "compressed_pixels": 0},
        {"shape": [0, 1, 1], "compressed_pixels": 0},
        {"shape": [4, 4, 4], "compressed_pixels": -1},
        {"shape": [4096, 4096, 4096], "compressed_pixels": 0},
    ],
)
def test_a_shape_that_the_child_may_not_declare_is_refused(declared: object) -> None:
    with pytest.raises(Broken):
        client._judged(declared)


@pytest.mark.parametrize(
    "data", [b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0{", b"\x02\0", b"\x01\0\0\0\0\0\0\0x"]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(Broken):
            receive(ours)


def test_messages_come_whole() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        blob = os.urandom(3 << 20)
        sender = threading.Thread(target=send, args=(theirs, {"a": [1.5, "é"]}, blob))
        sender.start()
        message = receive(ours)
        sender.join()
    assert message is not None
    assert message.record == {"a": [1.5, "é"]}
    assert message.blob == blob


def test_threads_read_at_once(tmp_path: Path) -> None:
    folder = slices(tmp_path)
    found: list[float] = []

    def work() -> None:
        found.append(float(read(folder).values.sum()))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_daemonic_workers_read_too(tmp_path: Path, method: str) -> None:
    """A forked worker has its parent's sockets, a daemonic one may have no children of multiprocessing's."""
    folder = slices(tmp_path)
    expected = float(read(folder).values.sum())
    context = multiprocessing.get_context(method)
    results = context.SimpleQueue()
    worker = context.Process(target=put_sum, args=(str(folder), results), daemon=True)
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0
    assert results.get() == expected
    assert float(read(folder).values.sum()) == expected


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from pathlib import Path
from medsr.io import read
from medsr.io.child import client
client._START = "\\n".join([
    "import time, medsr.io.dicom.read as reading", "reading.decode = lambda *a, **k: time.sleep(600)", client._START
])
print(client._server()._process.pid, flush=True)
read(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_read_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    folder = slices(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        server = int(process.stdout.readline())
        wait_for(lambda: children_of(server) != [])
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=20)
    assert process.returncode != 0
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
    wait_for(lambda: not Path(f"/proc/{server}").exists() or state_of(server) == "Z")


def test_reading_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    folder = slices(tmp_path)
    read(folder)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        read(folder)
        with pytest.raises(MedsrError):
            read(tmp_path, pick="9")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_small_scan_takes_little_memory(tmp_path: Path) -> None:
    planes = stored_planes(1, 512, 512)
    path = save(tmp_path / "a.dcm", image(pixels=planes[0]))
    assert client.ask(Task("dicom", "a", (str(path),))).largest_resident_bytes < 256 << 20


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.02)

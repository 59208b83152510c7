"""A service for the page: the real app on a free port, and a worker that walks the real pipeline in a thread."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from medsr.io import read
from medsr.jobs.claims import beat, claim, judging
from medsr.jobs.files import file_path, keep
from medsr.jobs.inputs import add_input
from medsr.jobs.keys import add_key
from medsr.jobs.nouns import Claim, Job, JobRequest, Pins, Progress
from medsr.jobs.publish import publish
from medsr.jobs.store import Store, close_store, open_store
from medsr.jobs.submit import submit
from medsr.pipeline.walk import Result, restore_volume
from medsr.report.viewing import write_view
from medsr.restore.request import RestoreRequest
from support.stores import LIMITS

MAKER = "maker"


@dataclass(frozen=True, slots=True)
class Service:
    """A running service: its address, its store, and the key of a reader who may also submit."""

    address: str
    store: Store
    key: str
    folder: Path


def published(store: Store, result: Result, folder: Path, *, owner: str = MAKER, parameters: object = None) -> Job:
    """A job whose result is `result`, as a worker leaves it."""
    sha256 = add_input(store, keep(store.files, [folder.name.encode()]), owner=owner, kind="nifti").sha256
    pins = Pins(policy="clinical", policy_sha256=result.policy.sha256, configuration_sha256="c" * 64, bundle="made@1")
    asked = parameters if isinstance(parameters, dict) else {"task": result.restoration.task}
    submit(store, owner=owner, request=JobRequest(asked), input_sha256=sha256, pins=pins)
    held = claim(store, "maker")
    assert isinstance(held, Claim)
    judging(store, held)
    return _publish(store, held, result, folder)


def _publish(store: Store, held: Claim, result: Result, folder: Path) -> Job:
    release = result.save(folder)
    view = None
    if release.word in ("review", "released"):
        view = folder.with_suffix(".view")
        write_view(view, result.restoration)
    summary = {"findings": len(result.judgement.findings), "modality": result.restoration.measured.modality}
    return publish(store, held, release, label=result.verdict.label, summary=summary, view=view)


def work(store: Store, folder: Path, stop: threading.Event) -> None:
    """Claim and walk jobs until told to stop."""
    number = 0
    while not stop.is_set():
        held = claim(store, "thread")
        if held is None:
            stop.wait(0.1)
            continue
        number += 1
        place = folder / f"job{number}"
        place.mkdir()
        scan = place / "scan.nii.gz"
        os.link(file_path(store.files, held.job.input_sha256), scan)
        beat(store, held, Progress("restore", 0.3, 1))
        asked = held.job.request.parameters
        volume = read(scan, modality="CT" if asked.get("modality") == "ct" else "MR")
        result = restore_volume(volume, RestoreRequest("denoise", threads=1), policy=held.job.pins.policy)
        beat(store, held, Progress("judge", 0.8, 2))
        judging(store, held)
        _publish(store, held, result, place / "out")


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """The app with the page, and a worker."""
    from medsr.service.api import ApiSettings, create_app
    from medsr.service.page.routes import page_router

    store = open_store(folder / "store", limits=LIMITS)
    key = add_key(store, label="Reading room 4", scopes=["submit", "read", "review"]).secret
    line = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(store, ApiSettings(events_poll_s=0.05), routers=[page_router(store)]),
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    stop = threading.Event()
    threads = [
        threading.Thread(target=server.run, kwargs={"sockets": [line]}, daemon=True),
        threading.Thread(target=work, args=(store, folder, stop), daemon=True),
    ]
    for thread in threads:
        thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield Service(f"http://127.0.0.1:{line.getsockname()[1]}", store, key, folder)
    finally:
        stop.set()
        server.should_exit = True
        for thread in threads:
            thread.join(30)
        line.close()
        close_store(store)

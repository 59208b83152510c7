"""Requests of the service, one method each."""

from __future__ import annotations

import base64
import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

import httpx

from medsr.client.failure import ServiceProblem, checked
from medsr.client.outcome import Outcome

__all__ = ["Client", "Event"]

Task = Literal["denoise", "superres", "inpaint"]
Event = Mapping[str, Any]
"""One event of a job: its kind and data as docs/service.md lists them."""

_PIECE = 1 << 20
_BOUNDARY = "medsr-client-boundary"
_ENDED = frozenset(
    {"released", "review", "rejected", "blocked", "withdrawn", "failed", "cancelled", "superseded", "purged"}
)
_RETRIED = frozenset({429, 503})
_TRIES = 6


class Client:
    """One service, one key.

    Parameters
    ----------
    url : of the service, ``http://127.0.0.1:8080``.
    key : as ``medsr keys add`` printed it; scope submit restores and validates, scope read reads.
    timeout_s : of connecting and of each silence.
    transport : an httpx transport, for tests and proxies.
    """

    def __init__(
        self, url: str, key: str, *, timeout_s: float = 60.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=timeout_s,
            transport=transport,
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def restore(
        self,
        scan: str | Path,
        task: Task,
        *,
        wait: bool = True,
        progress: Callable[[Event], None] | None = None,
        **options: Any,
    ) -> Outcome:
        """Upload a scan (a file, or a folder of DICOM objects), restore it and wait for the gate's word.

        Parameters
        ----------
        wait : False returns the queued job at once; `Outcome.wait` waits later.
        progress : called with every event.
        options : further fields of ``POST /v1/jobs``: scale, method, policy, modality and so on.

        Raises
        ------
        ServiceProblem : with its reason code.
        """
        job = self.submit({"input": self.upload(scan), "task": task, **options})
        return self._outcome(job, wait=wait, progress=progress)

    def validate(
        self,
        scan: str | Path,
        candidate: str | Path,
        *,
        wait: bool = True,
        progress: Callable[[Event], None] | None = None,
        **options: Any,
    ) -> Outcome:
        """Let anybody's restored volume be judged against the scan that it was made from; only a report comes of it."""
        body = {"input": self.upload(scan), "candidate": self.upload(candidate), **options}
        return self._outcome(self.submit(body, path="/v1/validations"), wait=wait, progress=progress)

    def upload(self, scan: str | Path) -> str:
        """Send a scan unless the service has its bytes; returns its sha256."""
        path = Path(scan)
        if path.is_dir():
            return self._upload_folder(path)
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if self._http.get(f"/v1/inputs/{sha256}").is_success:
            return sha256
        headers = {
            "Content-Type": _media_type(path),
            "Content-Length": str(path.stat().st_size),
            "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:",
        }

        def send() -> httpx.Response:
            with path.open("rb") as stream:
                return self._http.post("/v1/inputs", content=_pieces(stream), headers=headers)

        return str(_patiently(send).json()["sha256"])

    def submit(self, body: Mapping[str, Any], *, path: str = "/v1/jobs", name: str | None = None) -> dict[str, Any]:
        """Queue a job; `name` is its Idempotency-Key, so that a request sent twice makes one job."""
        headers = {"Idempotency-Key": name or str(uuid.uuid4())}
        found: dict[str, Any] = _patiently(lambda: self._http.post(path, json=dict(body), headers=headers)).json()
        return found

    def job(self, job_id: str) -> dict[str, Any]:
        """A job as the service has it."""
        found: dict[str, Any] = _patiently(lambda: self._http.get(f"/v1/jobs/{job_id}")).json()
        return found

    def jobs(self, *, states: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """All jobs that the key sees, newest first."""
        cursor: str | None = None
        while True:
            query: dict[str, Any] = {"state": list(states), "limit": 200} | ({"cursor": cursor} if cursor else {})
            page = _patiently(partial(self._http.get, "/v1/jobs", params=query)).json()
            yield from page["jobs"]
            cursor = page["next"]
            if cursor is None:
                return

    def events(self, job_id: str) -> Iterator[Event]:
        """What happens to a job until it has ended; a stream that breaks is taken up where it was."""
        last, failures = 0, 0
        while True:
            try:
                with self._http.stream("GET", f"/v1/jobs/{job_id}/events", headers=_since(last)) as response:
                    if checked(response).status_code == httpx.codes.NO_CONTENT:
                        return
                    for event in _parsed(response.iter_lines()):
                        failures = 0
                        if event["kind"] == "end":
                            return
                        last = event.get("seq", last)
                        yield event
            except (httpx.TransportError, ServiceProblem) as error:
                failures += 1
                if failures >= _TRIES or (isinstance(error, ServiceProblem) and error.status not in _RETRIED):
                    raise
                time.sleep(min(2.0**failures / 4, 5.0))

    def download(self, job_id: str, name: str, target: Path) -> None:
        """Write a result file whole or not at all; its bytes must hash to its ETag."""
        part = target.with_name(f".{target.name}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._http.stream("GET", f"/v1/jobs/{job_id}/result/{name}") as response, part.open("wb") as stream:
                digest = hashlib.sha256()
                for piece in checked(response).iter_bytes(_PIECE):
                    digest.update(piece)
                    stream.write(piece)
            if response.headers.get("etag", "").strip('"') != digest.hexdigest():
                raise ServiceProblem(200, "input.digest", "fetch the file again; its bytes changed on the way")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def report(self, job_id: str) -> dict[str, Any]:
        """The report of a judged job."""
        answer = _patiently(lambda: self._http.get(f"/v1/jobs/{job_id}/report", headers={"Accept": "application/json"}))
        found: dict[str, Any] = answer.json()
        return found

    def _outcome(self, job: dict[str, Any], *, wait: bool, progress: Callable[[Event], None] | None) -> Outcome:
        made = Outcome(self, job)
        return made.wait(progress=progress) if wait else made

    def _upload_folder(self, folder: Path) -> str:
        """A folder's files as one study; the service refuses what is no DICOM object."""
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'}
        answer = _patiently(lambda: self._http.post("/v1/studies", content=_study(files), headers=headers))
        return answer.headers["location"].rpartition("/")[2]


def ended(job: Mapping[str, Any]) -> bool:
    """True once nothing more is computed for a job."""
    return job["state"] in _ENDED


def _patiently(send: Callable[[], httpx.Response]) -> httpx.Response:
    """Send again what the service says may be sent again, as late as it says."""
    for attempt in range(_TRIES):
        response = send()
        if response.status_code not in _RETRIED or attempt == _TRIES - 1:
            break
        time.sleep(min(float(response.headers.get("retry-after", "1")), 30.0))
    return checked(response)


def _media_type(path: Path) -> str:
    return {".dcm": "application/dicom", ".zip": "application/zip"}.get(path.suffix.lower(), "application/octet-stream")


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE):
        yield piece


def _study(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        yield f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        with path.open("rb") as stream:
            yield from _pieces(stream)
        yield b"\r\n"
    yield f"--{_BOUNDARY}--\r\n".encode()


def _since(last: int) -> dict[str, str]:
    return {"Accept": "text/event-stream", **({"Last-Event-ID": str(last)} if last else {})}


def _parsed(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    kind, data = "message", ""
    for line in lines:
        if line.startswith("event:"):
            kind = line[6:].strip()
        elif line.startswith("data:"):
            data = line[5:].strip()
        elif not line and data:
            yield {**json.loads(data), "kind": kind}
            kind, data = "message", ""

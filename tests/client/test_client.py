"""The client against a real api, with a worker that publishes made results."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from support.serving import served
from support.stores import LIMITS, release_of

from medsr.client import Client, Outcome, ServiceProblem
from medsr.client.outcome import _parts
from medsr.jobs.claims import beat, claim, judging
from medsr.jobs.inputs import input_of
from medsr.jobs.nouns import Progress
from medsr.jobs.publish import publish
from medsr.jobs.store import close_store, open_store

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "client.ipynb"


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    made = open_store(tmp_path / "store", limits=LIMITS)
    yield made
    close_store(made)


@pytest.fixture
def api(store):
    with served(store) as made:
        yield made


@pytest.fixture
def word():
    """The gate's word for the next jobs."""
    return ["released"]


@pytest.fixture
def worker(store, tmp_path, word):
    """Claims and publishes until the test ends."""
    stop = threading.Event()

    def work():
        count = 0
        while not stop.wait(0.02):
            held = claim(store, "w")
            if held is None:
                continue
            count += 1
            beat(store, held, Progress("restore", 0.5))
            judging(store, held)
            made = release_of(tmp_path / f"out{count}", word[0])
            publish(store, held, replace(made, policy_sha256=held.job.pins.policy_sha256))

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture
def client(api):
    with Client(api.url, api.key("submit", "read", owner="ward")) as made:
        yield made


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(b"scan" * 1000)
    return path


def test_three_lines_restore_a_scan(client, worker, scan, tmp_path):
    kinds = []
    result = client.restore(scan, task="denoise", progress=lambda event: kinds.append(event["kind"]))
    assert (result.state, result.released) == ("released", True)
    written = {
        path.relative_to(tmp_path / "taken").as_posix(): path.read_bytes() for path in result.save(tmp_path / "taken")
    }
    assert written["made_restored.nii.gz"] == b"pixels"
    assert {"report.json", "report.html"} < set(written)
    assert "progress" in kinds
    assert not list((tmp_path / "taken").glob(".*")), "no part is left"


def test_a_held_result_leaves_its_report_alone(client, worker, word, scan, tmp_path):
    word[0] = "review"
    result = client.restore(scan, task="denoise")
    assert (result.state, result.released) == ("review", False)
    assert sorted(path.name for path in result.save(tmp_path / "taken")) == ["report.html", "report.json"]


def test_a_scan_is_sent_once(client, store, scan, monkeypatch):
    sha256 = client.upload(scan)
    assert sha256 == hashlib.sha256(scan.read_bytes()).hexdigest()
    monkeypatch.setattr(client._http, "post", lambda *_, **__: pytest.fail("it was sent again"))
    assert client.upload(scan) == sha256


def test_a_folder_is_sent_as_a_study(client, store, tmp_path):
    folder = tmp_path / "series"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.dcm").write_bytes(bytes(128) + b"DICM" + bytes([number]))
    sha256 = client.upload(folder)
    assert input_of(store, sha256, owner="ward").kind == "zip"


def test_a_validation_and_the_list_of_jobs(client, worker, word, scan, tmp_path):
    word[0] = "rejected"
    other = tmp_path / "theirs.nii.gz"
    other.write_bytes(b"theirs")
    result = client.validate(scan, other)
    assert (result.state, result.job["kind"]) == ("rejected", "validate")
    assert [job["id"] for job in client.jobs()] == [result.id]
    assert result.report() == {"gate": {}}


def test_a_problem_comes_with_its_code_and_remedy(client, scan):
    with pytest.raises(ServiceProblem, match=r"http\.invalid") as caught:
        client.restore(scan, task="denoise", scale=99.0)
    assert (caught.value.status, caught.value.code) == (422, "http.invalid")
    assert caught.value.remedy


def test_an_answer_that_is_not_of_medsr_says_so():
    transport = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>proxy</html>"))
    with (
        Client("http://far", "key", transport=transport) as client,
        pytest.raises(ServiceProblem, match=r"http\.foreign"),
    ):
        client.job("x")


def test_busy_answers_are_tried_again(monkeypatch):
    answers = [httpx.Response(503, headers={"Retry-After": "0"}), httpx.Response(200, json={"id": "x"})]
    transport = httpx.MockTransport(lambda _: answers.pop(0))
    with Client("http://far", "key", transport=transport) as client:
        assert client.job("x") == {"id": "x"}


def test_a_file_that_changed_on_the_way_is_not_kept(tmp_path):
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b"other", headers={"ETag": f'"{"0" * 64}"'}))
    with Client("http://far", "key", transport=transport) as client, pytest.raises(ServiceProblem, match="input"):
        client.download("x", "a.nii.gz", tmp_path / "a.nii.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "a\\b", "", "a//b"])
def test_a_service_cannot_write_outside_the_folder(name):
    with pytest.raises(ValueError, match="leave the folder"):
        _parts(name)


def test_an_outcome_says_what_it_is(client):
    assert repr(Outcome(client, {"id": "x", "state": "queued", "reason": None})) == "<job x queued>"


def test_the_notebook_runs_from_top_to_bottom(api, worker, scan, tmp_path, monkeypatch, capsys):
    """Its cells in order, as a kernel would run them."""
    if not NOTEBOOK.is_file():
        pytest.skip("tools/ is not beside the tests: an installed copy has no documentation to compare")
    for name, value in {
        "MEDSR_URL": api.url, "MEDSR_KEY": api.key("submit", "read"), "MEDSR_SCAN": scan, "MEDSR_OUT": tmp_path / "nb",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    names: dict[str, object] = {}
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "client.ipynb", "exec"), names)  # noqa: S102  # our own notebook
    assert (tmp_path / "nb" / "made_restored.nii.gz").read_bytes() == b"pixels"

"""Health under trouble, figures, logs without values."""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
import time as clock
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from support.serving import nothing_left, problem, served
from support.stores import SCAN, held_job, queued, run, upload

from medsr.errors import Refusal
from medsr.jobs.claims import claim, reap
from medsr.jobs.store import DATABASE
from medsr.service.api import ApiSettings
from medsr.service.api.routes import health
from medsr.service.logs import configure_logs, scrub

NAME = "DOE^JANE"


def test_a_service_in_order_is_ready(api):
    client = api.client()
    assert client.get("/healthz").json()["status"] == "ok"
    answer = client.get("/readyz")
    assert (answer.status_code, set(answer.json()["checks"].values())) == (200, {"ok"})


@pytest.mark.slow
def test_f07_a_locked_store_answers_503_early_and_health_at_once(store):
    """Another writer holds the database all the while: writers get 503, readers go on, /healthz stays under 1 s."""
    sha256 = upload(store)
    with served(store, ApiSettings(store_calls=4, store_waiting=8, store_seconds=1.0)) as api:
        client = api.client("submit", "read")
        blocker = sqlite3.connect(store.folder / DATABASE, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        try:
            with ThreadPoolExecutor(24) as pool:
                started = clock.monotonic()
                posts = [
                    pool.submit(client.post, "/v1/jobs", json={"input": sha256, "task": "denoise"}) for _ in range(24)
                ]
                clock.sleep(0.3)
                slowest = 0.0
                while not all(post.done() for post in posts):
                    at = clock.monotonic()
                    assert client.get("/healthz").status_code == 200
                    slowest = max(slowest, clock.monotonic() - at)
                    clock.sleep(0.05)
                took = clock.monotonic() - started
            for post in posts:
                problem(post.result(), 503, "store.busy")
                assert post.result().headers["retry-after"]
            assert slowest < 1
            assert took < 8
            assert client.get("/v1/jobs").status_code == 200
            assert client.get("/readyz").status_code == 503
        finally:
            blocker.execute("ROLLBACK")
            blocker.close()
        assert client.post("/v1/jobs", json={"input": sha256, "task": "denoise"}).status_code == 202


def test_f08_a_store_that_cannot_be_written_takes_nothing_and_is_not_ready(api, store, monkeypatch):
    """As a read-only mount answers: intake is refused with its reason, health goes on."""

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    client = api.client("submit")
    monkeypatch.setattr("medsr.jobs.files.os.open", refuse)
    monkeypatch.setitem(health._CHECKS, "store", refuse)
    problem(client.post("/v1/inputs", content=SCAN), 507, "store.full")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["store"]) == (503, "store.read_only")
    assert client.get("/healthz").status_code == 200
    monkeypatch.undo()
    assert nothing_left(store)


def test_a_clock_that_was_set_back_is_not_ready(api, store, time):
    queued(store)
    time.wall -= 3600
    assert api.client().get("/readyz").json()["checks"]["clock"] == "store.clock"


def test_metrics_tell_states_reasons_leases_and_disk(api, store, time, tmp_path):
    held_job(store, tmp_path / "out")
    queued(store, b"lost")
    claim(store, "w")
    time.sleep(60)
    reap(store)
    queued(store, b"waits")
    time.sleep(30)
    text = api.client().get("/metrics").text
    figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert figures['medsr_jobs{reason="",state="review"}'] == "1.0"
    assert figures['medsr_jobs{reason="",state="queued"}'] == "2.0"
    assert figures['medsr_verdicts{label="",policy="clinical",verdict="review"}'] == "1.0"
    assert float(figures["medsr_queue_age_seconds"]) == 90
    assert float(figures['medsr_disk_bytes{kind="free"}']) > 0
    assert float(figures["medsr_wal_bytes"]) > 0
    assert "medsr_lease_losses_total" in figures


def test_drift_lays_scores_beside_the_records(api, store, tmp_path, monkeypatch):
    record = tmp_path / "abc" / "mr-x1-low.json"
    record.parent.mkdir()
    record.write_text(json.dumps({
        "created": "2027-01-01", "expires": "2027-01-20", "promise": {"threshold": 2.5},
        "subjects": [{"clean": score / 10} for score in range(30)],
    }))  # fmt: skip
    monkeypatch.setattr("medsr.service.api.routes.metrics.calibration_files", lambda _: (record,))
    held_job(store, tmp_path / "out")
    told = api.client("review").get("/v1/drift").json()
    assert [(one["stratum"], one["n"], one["verdicts"]) for one in told["strata"]] == [
        ("unknown-unknown", 1, {"review": 1})
    ]
    assert told["records"][0]["record"] == "abc/mr-x1-low.json"
    assert (told["records"][0]["threshold"], told["records"][0]["scores"]["n"]) == (2.5, 30)
    assert told["records"][0]["expires_soon"] is True


def test_m23_a_name_in_an_error_of_a_room_below_does_not_leave(api, store, monkeypatch, capfd):
    """A fact may quote a file; the answer has the code and the remedy alone, and so has the log."""

    def refuse(*_, **__):
        raise Refusal("io.unreadable", f"{NAME}.nii.gz cannot be read")

    monkeypatch.setattr("medsr.service.api.routes.inputs.add_input", refuse)
    answer = api.client("submit").post("/v1/inputs", content=SCAN)
    problem(answer, 422, "io.unreadable")
    assert NAME not in answer.text + str(answer.headers)
    out, err = capfd.readouterr()
    assert NAME not in out + err


def test_a_defect_is_500_without_its_words(api, monkeypatch, capfd):
    def broken(*_, **__):
        raise KeyError(NAME)

    monkeypatch.setattr("medsr.service.api.routes.inputs.input_of", broken)
    answer = api.client("read").get(f"/v1/inputs/{'0' * 64}")
    problem(answer, 500, "http.internal")
    assert NAME not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "http.not_found"),
        ("PUT", "/v1/jobs", 405, "http.method"),
        ("GET", "/docs", 404, "http.not_found"),
    ],
)
def test_every_error_has_the_one_form(api, method, path, status, code):
    answer = api.client("read").request(method, path)
    problem(answer, status, code)
    assert status != 405 or answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    "event",
    [
        {"event": f"read {NAME}"},
        {"event": "api.request", "patient": NAME},
        {"event": "api.request", "job": f"{NAME}\r\nforged line"},
        {"event": "api.request", "route": "a b"},
        {"event": "api.request", "reason": "x" * 500},
        {"event": "api.request", "data": {"name": NAME}},
    ],
)
def test_a35_logs_hold_ids_alone(event):
    """Unknown keys and values that are no single word are dropped and counted; a line cannot be forged."""
    line = json.dumps(scrub(None, "info", dict(event)))
    assert NAME not in line
    assert "forged" not in line
    assert "dropped" in line or "log.foreign" in line


def test_a35_libraries_messages_are_not_logged(capfd):
    """pydicom, uvicorn and warnings repeat values: of their records place and level alone are kept."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logs()
        logging.getLogger("pydicom").warning("Invalid value for VR PN: %s", NAME)
        structlog.get_logger("medsr").info("job.claimed", job="0123", attempt=1)
    finally:
        root.handlers[:], root.level = handlers, level
        structlog.reset_defaults()
        logging.captureWarnings(False)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["log.foreign", "job.claimed"]
    assert (lines[0]["logger"], lines[1]["job"]) == ("pydicom", "0123")
    assert NAME not in json.dumps(lines)


def test_the_api_loads_no_framework_and_sends_no_telemetry():
    """What the environment asks of FastAPI's exporters is not done, and no torch is in the process."""
    script = (
        "import sys\n"
        "import medsr.service.api, medsr.service.pins, medsr.client\n"
        "heavy = {'torch', 'monai', 'diffusers', 'pydicom', 'nibabel'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from pathlib import Path\n"
        "from medsr.jobs.store import open_store\n"
        "app = medsr.service.api.create_app(open_store(Path(sys.argv[1])))\n"
        "assert not any(app._telemetry[name] for name in ('tracing', 'metrics', 'logs', 'auto_configure'))\n"
    )
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [sys.executable, "-c", script, str(Path(folder) / "store")],
            env={**__import__("os").environ, "FASTAPI_OTEL_AUTO_CONFIGURE": "true"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_the_bundles_and_policies_are_listed_with_their_hashes(api):
    client = api.client("read")
    models = client.get("/v1/models").json()["models"]
    assert models
    assert all(len(model["sha256"]) == 64 for model in models)
    policies = {policy["name"]: policy for policy in client.get("/v1/policies").json()["policies"]}
    assert policies["clinical"]["default"]
    assert not policies["clinical"]["waive_uncalibrated"]


def test_the_audit_is_read_by_pages_and_verified(api, store, tmp_path):
    held_job(store, tmp_path / "out")
    admin = api.client("admin")
    first = admin.get("/v1/audit", params={"limit": 2}).json()
    rest = admin.get("/v1/audit", params={"after": first["next"]}).json()
    assert [entry["deed"] for entry in first["entries"] + rest["entries"]][:3] == ["input", "submit", "publish"]
    assert admin.get("/v1/audit/verification").json()["whole"] is True


def test_released_results_survive_a_reader_s_eyes_only(api, store, tmp_path):
    queued(store)
    job = run(store, tmp_path / "out", "blocked")
    problem(api.client("review").get(f"/v1/jobs/{job.id}/result/made_restored.nii.gz"), 404, "result.none")

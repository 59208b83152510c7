"""Jobs over HTTP: one key of a request one job, own jobs only, states that say what they allow."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.serving import problem
from support.stores import SCAN, held_job, queued, run, upload

from medsr.jobs.claims import beat, claim
from medsr.jobs.listing import jobs
from medsr.jobs.nouns import Progress
from medsr.jobs.states import STATES

SHA = hashlib.sha256(SCAN).hexdigest()
ASKED = {"input": SHA, "task": "denoise"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def ward(api, store):
    """A client whose scan is there."""
    upload(store)
    return api.client("submit", "read")


def test_a_job_is_queued_with_its_pins(ward):
    answer = ward.post("/v1/jobs", json=ASKED)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["queue_position"], job["input"], job["policy"]) == ("queued", 1, SHA, "clinical")
    assert "inplane" in job["bundle"]
    for name in ("bundle", "policy", "configuration"):
        assert len(job["pins"][name]) == 64
    assert ward.get(answer.headers["location"]).json() == job


def test_pins_change_with_the_request(ward):
    """What was restored for one request is never taken for another's."""
    one = ward.post("/v1/jobs", json=ASKED).json()["pins"]
    other = ward.post("/v1/jobs", json={**ASKED, "noise": 3.0}).json()["pins"]
    assert one["configuration"] != other["configuration"]
    assert one["bundle"] == other["bundle"]


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({"task": "enhance"}, ["body.task"]),
        ({"scale": 9.0}, ["body.scale"]),
        ({"input": "../../etc/passwd"}, ["body.input"]),
        ({"surprise": "JANE DOE"}, ["body"]),
        ({"seed": "7"}, ["body.seed"]),
        ({"operator": {"x": float("nan")}}, ["body.operator"]),
    ],
)
def test_a35_a_request_that_does_not_fit_is_refused_without_its_values(ward, change, places):
    import json

    answer = ward.post(
        "/v1/jobs", content=json.dumps({**ASKED, **change}), headers={"Content-Type": "application/json"}
    )
    problem(answer, 422, "http.invalid")
    assert answer.json()["places"] == places
    for value in ("enhance", "JANE", "passwd", "surprise"):
        assert value not in answer.text


@pytest.mark.parametrize("body", [b"{", b"[" * 200_000, b'"\\ud800"', b"\xff\xfe", b"null", b"[]"])
def test_json_that_is_none_is_refused(ward, body):
    answer = ward.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_json_body_over_its_limit_is_refused(ward):
    body = b'{"input": "' + b"x" * (2 << 20) + b'"}'
    for content in (body, iter([body])):
        problem(
            ward.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"}), 413, "http.too_large"
        )


def test_a_task_that_no_bundle_serves_and_a_policy_that_is_not_there(ward):
    problem(ward.post("/v1/jobs", json={**ASKED, "policy": "lenient"}), 422, "policy.unknown")


def test_an_input_that_is_not_there_makes_no_job(api, store):
    client = api.client("submit")
    problem(client.post("/v1/jobs", json={**ASKED, "input": "0" * 64}), 404, "input.none")
    assert jobs(store).items == ()


def test_a33_the_same_key_answers_the_same_job_and_another_body_is_refused(ward):
    headers = {"Idempotency-Key": "scan-1"}
    first, again = (ward.post("/v1/jobs", json=ASKED, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["location"] == again.headers["location"]
    problem(ward.post("/v1/jobs", json={**ASKED, "seed": 1}, headers=headers), 422, "job.idempotency")


@pytest.mark.slow
def test_f12_a_thousand_posts_of_one_key_by_eight_clients_make_one_job(api, store):
    upload(store)
    clients = [api.client("submit") for _ in range(8)]

    def posts(client) -> set[tuple[int, str]]:
        answers = [client.post("/v1/jobs", json=ASKED, headers={"Idempotency-Key": "one"}) for _ in range(125)]
        return {(answer.status_code, answer.json().get("id", answer.text)) for answer in answers}

    with ThreadPoolExecutor(8) as pool:
        answers = set().union(*pool.map(posts, clients))
    made = jobs(store).items
    assert len(made) == 1
    assert answers == {(202, made[0].id)}


def test_a_key_has_its_jobs_and_a_full_queue_says_when_to_come_back(api, store):
    from dataclasses import replace

    upload(store)
    object.__setattr__(store, "limits", replace(store.limits, most_queued_by_owner=2))
    client = api.client("submit")
    assert [client.post("/v1/jobs", json=ASKED).status_code for _ in range(2)] == [202, 202]
    answer = client.post("/v1/jobs", json=ASKED)
    problem(answer, 429, "job.owner_full")
    assert answer.headers["retry-after"]
    object.__setattr__(store, "limits", replace(store.limits, most_queued=2, most_queued_by_owner=99))
    problem(client.post("/v1/jobs", json=ASKED), 503, "job.queue_full")


def test_jobs_are_listed_by_pages_and_only_one_s_own(api, store, time):
    for number in range(5):
        time.sleep(1)
        queued(store, bytes([number]), owner="ward")
    queued(store, owner="other")
    client = api.client("read")
    found, cursor = [], None
    while True:
        page = client.get("/v1/jobs", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        found += page["jobs"]
        cursor = page["next"]
        if cursor is None:
            break
    assert [job["created"] for job in found] == sorted((job["created"] for job in found), reverse=True)
    assert len({job["id"] for job in found}) == 5
    assert len(api.client("review").get("/v1/jobs").json()["jobs"]) == 6, "a reader sees everybody's"
    assert client.get("/v1/jobs", params={"state": "released"}).json()["jobs"] == []
    assert len(client.get("/v1/jobs", params=[("state", "queued"), ("state", "running")]).json()["jobs"]) == 5


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=201", 422), ("limit=0", 422), ("state=secret", 422), ("cursor=abc", 422), ("cursor=%00", 422)],
)
def test_a_list_that_cannot_be_is_refused(api, query, status):
    answer = api.client("read").get(f"/v1/jobs?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("path", ["", "/events", "/report", "/provenance", "/result/report.json"])
def test_a29_a_foreign_job_is_not_there(api, store, tmp_path, path):
    """The same answer as for a job that never was."""
    job = held_job(store, tmp_path / "out")
    other = api.client("submit", "read", owner="other")
    foreign, never = (other.get(f"/v1/jobs/{name}{path}") for name in (job.id, UNKNOWN))
    problem(foreign, 404, "job.none")
    assert foreign.json() == never.json()


def test_a29_a_foreign_job_is_not_stopped(api, store):
    job = queued(store, owner="ward")
    problem(api.client("submit", owner="other").delete(f"/v1/jobs/{job.id}"), 404, "job.none")
    assert jobs(store).items[0].state == "queued"


def test_a_waiting_job_is_stopped_and_a_final_one_cannot_be(ward, store):
    job = queued(store)
    first = ward.delete(f"/v1/jobs/{job.id}")
    assert (first.status_code, first.json()["state"]) == (202, "cancelled")
    problem(ward.delete(f"/v1/jobs/{job.id}"), 409, "job.transition")


def test_a_running_job_tells_its_stage_and_is_asked_to_stop(ward, store, time):
    job = queued(store)
    held = claim(store, "w")
    time.sleep(10)
    beat(store, held, Progress("restore", 0.5))
    seen = ward.get(f"/v1/jobs/{job.id}").json()
    assert (seen["state"], seen["stage"], seen["fraction"], seen["eta_s"]) == ("running", "restore", 0.5, 10.0)
    assert ward.delete(f"/v1/jobs/{job.id}").json()["cancel"] is True
    assert beat(store, held, Progress("restore", 0.6)) == "cancel"


def test_only_an_administrator_jumps_the_queue(api, store):
    upload(store)
    problem(api.client("submit").post("/v1/jobs", json={**ASKED, "priority": 5}), 403, "auth.scope")
    assert api.client("submit", "admin").post("/v1/jobs", json={**ASKED, "priority": 5}).status_code == 202


def test_a_validation_is_a_job_with_a_candidate(ward, store):
    candidate = upload(store, b"their output")
    answer = ward.post("/v1/validations", json={"input": SHA, "candidate": candidate})
    assert answer.status_code == 202, answer.text
    assert (answer.json()["kind"], answer.json()["candidate"]) == ("validate", candidate)
    problem(ward.post("/v1/validations", json={"input": SHA, "candidate": "0" * 64}), 404, "input.none")


def test_every_state_of_the_table_is_documented(api):
    states = api.client().get("/openapi.json").json()["components"]["schemas"]["JobOut"]["properties"]["state"]["enum"]
    assert states == list(STATES)


def test_purge_is_an_administrator_s_and_leaves_hash_and_audit(api, store, tmp_path):
    queued(store)
    job = run(store, tmp_path / "out", "rejected")
    problem(api.client("submit", "read").delete(f"/v1/jobs/{job.id}?purge=1"), 403, "auth.scope")
    admin = api.client("admin")
    assert admin.delete(f"/v1/jobs/{job.id}?purge=1").status_code == 204
    after = admin.get(f"/v1/jobs/{job.id}").json()
    assert (after["state"], after["output_sha256"]) == ("purged", job.output_sha256)
    problem(admin.get(f"/v1/jobs/{job.id}/report"), 410, "result.gone")
    assert admin.get("/v1/audit").json()["entries"][-1]["deed"] == "purge"

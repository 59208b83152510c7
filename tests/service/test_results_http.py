"""What came out: nothing before release, nothing that rotted, everything with its hash; decisions by readers alone."""

from __future__ import annotations

import pytest
from support.serving import problem, served
from support.stores import held_job, queued, run

from medsr.jobs.files import file_path
from medsr.jobs.listing import job as find_job
from medsr.jobs.results import result_files
from medsr.service.api import ApiSettings
from medsr.service.api.problem import Problem
from medsr.service.api.ranges import span_of
from medsr.service.api.routes.results import preferred

IMAGE = "made_restored.nii.gz"
PIXELS = b"0123456789" * 100


@pytest.fixture
def released(store, tmp_path):
    """A job that the gate released."""
    queued(store)
    return run(store, tmp_path / "out", "released", image=PIXELS)


@pytest.fixture
def held(store, tmp_path):
    """A job that waits for a reader."""
    return held_job(store, tmp_path / "out")


def decision(job, **changes):
    return {
        "verdict": "released", "reason": "compared with the original", "output_sha256": job.output_sha256,
    } | changes  # fmt: skip


def test_a_released_file_comes_whole_with_its_hash_as_etag(api, released):
    client = api.client("read")
    listed = {file["name"]: file for file in client.get(f"/v1/jobs/{released.id}").json()["results"]}
    answer = client.get(listed[IMAGE]["url"])
    assert (answer.status_code, answer.content) == (200, PIXELS)
    assert answer.headers["etag"] == f'"{listed[IMAGE]["sha256"]}"'
    assert client.get(listed[IMAGE]["url"], headers={"If-None-Match": answer.headers["etag"]}).status_code == 304


@pytest.mark.parametrize(
    ("header", "status", "span"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=990-", 206, (990, 1000)),
        ("bytes=-5", 206, (995, 1000)),
        ("bytes=5-99999", 206, (5, 1000)),
        ("bytes=1000-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=9-2", 200, (0, 1000)),
        ("bytes=0-1,5-6", 200, (0, 1000)),
        ("lines=1-2", 200, (0, 1000)),
    ],
)
def test_ranges_are_what_was_asked_for(api, released, header, status, span):
    answer = api.client("read").get(f"/v1/jobs/{released.id}/result/{IMAGE}", headers={"Range": header})
    assert answer.status_code == status
    if span is None:
        problem(answer, 416, "http.range")
        assert answer.headers["content-range"] == "bytes */1000"
    else:
        assert answer.content == PIXELS[span[0] : span[1]]
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {span[0]}-{span[1] - 1}/1000"


def test_a_range_of_another_version_is_the_whole_file(api, released):
    headers = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert api.client("read").get(f"/v1/jobs/{released.id}/result/{IMAGE}", headers=headers).status_code == 200


def test_a_span_beyond_an_empty_file_is_refused():
    with pytest.raises(Problem):
        span_of("bytes=0-0", 0)


def test_what_is_held_is_not_served_but_to_a_reader(api, held):
    """Report yes, pixels no: until a reader let them out."""
    client = api.client("read")
    problem(client.get(f"/v1/jobs/{held.id}/result/{IMAGE}"), 409, "result.not_released")
    assert client.get(f"/v1/jobs/{held.id}/report").status_code == 200
    assert api.client("review").get(f"/v1/jobs/{held.id}/result/{IMAGE}").status_code == 200


def test_a_queued_job_has_no_result(api, store):
    job = queued(store)
    client = api.client("read")
    for path in ("report", "provenance", f"result/{IMAGE}"):
        problem(client.get(f"/v1/jobs/{job.id}/{path}"), 409, "result.not_released")


def test_a_rejected_result_is_forbidden_and_a_withdrawn_one_gone(api, held):
    client, reader = api.client("read"), api.client("review")
    answer = reader.post(
        f"/v1/jobs/{held.id}/decision", json=decision(held), headers={"If-Match": f'"{held.etag}"'}
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert client.get(f"/v1/jobs/{held.id}/result/{IMAGE}").status_code == 200
    back = reader.post(
        f"/v1/jobs/{held.id}/decision", json=decision(held, verdict="withdrawn", reason="wrong side"),
        headers={"If-Match": answer.headers["etag"]},
    )  # fmt: skip
    assert back.json()["state"] == "withdrawn"
    problem(client.get(f"/v1/jobs/{held.id}/result/{IMAGE}"), 410, "result.gone")


def test_a_refused_result_is_forbidden(api, held):
    reader = api.client("review")
    headers = {"If-Match": f'"{held.etag}"'}
    body = decision(held, verdict="rejected", reason="finding 1 is no vessel")
    assert reader.post(f"/v1/jobs/{held.id}/decision", json=body, headers=headers).json()["state"] == "rejected"
    problem(api.client("read").get(f"/v1/jobs/{held.id}/result/{IMAGE}"), 403, "result.rejected")


def test_m18_a_get_never_approves(api, held, store):
    """A link, a picture or a prefetch must not decide: GET is refused, and so is every other method but POST."""
    reader = api.client("review")
    headers = {"If-Match": f'"{held.etag}"'}
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        answer = reader.request(method, f"/v1/jobs/{held.id}/decision", headers=headers, params=decision(held))
        assert answer.status_code == 405
        body = reader.request(method, f"/v1/jobs/{held.id}/decision", headers=headers, json=decision(held))
        assert body.status_code == 405
    assert find_job(store, held.id).state == "review"


def test_a33_a_decision_on_what_has_changed_is_stale(api, held, store):
    reader = api.client("review")
    url = f"/v1/jobs/{held.id}/decision"
    problem(reader.post(url, json=decision(held)), 428, "http.precondition")
    problem(reader.post(url, json=decision(held), headers={"If-Match": '"old-1"'}), 409, "decision.stale")
    headers = {"If-Match": f'"{held.etag}"'}
    problem(reader.post(url, json=decision(held, output_sha256="0" * 64), headers=headers), 409, "decision.stale")
    assert find_job(store, held.id).state == "review"
    assert reader.post(url, json=decision(held), headers=headers).status_code == 200
    assert reader.post(url, json=decision(held), headers=headers).status_code == 409, "the second of two readers"


@pytest.mark.parametrize("reason", ["", "   ", "two\nlines", "x" * 501])
def test_a_decision_needs_a_reason(api, held, reason):
    answer = api.client("review").post(
        f"/v1/jobs/{held.id}/decision", json=decision(held, reason=reason), headers={"If-Match": f'"{held.etag}"'}
    )
    assert answer.status_code == 422
    assert answer.json()["code"] in ("decision.reason", "http.invalid")


def test_only_a_reader_decides(api, held):
    for scopes in (("submit", "read"), ("admin",)):
        answer = api.client(*scopes).post(
            f"/v1/jobs/{held.id}/decision", json=decision(held), headers={"If-Match": f'"{held.etag}"'}
        )
        problem(answer, 403, "auth.scope")


def test_four_eyes_the_sender_does_not_release(store, held):
    """The owner's own key is refused, another reader's is taken."""
    with served(store, ApiSettings(four_eyes=True, requests_per_s=10_000)) as api:
        headers = {"If-Match": f'"{held.etag}"'}
        url = f"/v1/jobs/{held.id}/decision"
        problem(
            api.client("review", owner="ward").post(url, json=decision(held), headers=headers),
            403,
            "decision.four_eyes",
        )
        other = api.client("review", owner="reading").post(url, json=decision(held), headers=headers)
        assert other.json()["state"] == "released"


def test_a_decision_is_told_in_the_provenance(api, held):
    reader = api.client("review", label="reading room")
    body = decision(held, reader="A. Reader")
    reader.post(f"/v1/jobs/{held.id}/decision", json=body, headers={"If-Match": f'"{held.etag}"'})
    told = api.client("read").get(f"/v1/jobs/{held.id}/provenance").json()
    assert (told["input_sha256"], told["output_sha256"]) == (held.input_sha256, held.output_sha256)
    assert [(one["reader"], one["verdict"]) for one in told["decisions"]] == [("A. Reader", "released")]
    assert set(told["pins"]) == {"bundle", "policy", "configuration", "calibration"}


def test_f15_a_file_that_rotted_is_not_sent(api, released, store):
    """Hashed at every read: one flipped byte is an error, not a picture."""
    file = next(file for file in result_files(store, released.id) if file.name == IMAGE)
    path = file_path(store.files, file.sha256)
    path.chmod(0o600)
    path.write_bytes(b"X" + PIXELS[1:])
    problem(api.client("read").get(f"/v1/jobs/{released.id}/result/{IMAGE}"), 500, "store.rot")


@pytest.mark.parametrize("name", ["..%2f..%2fmedsr.sqlite", "%2e%2e/%2e%2e/etc/passwd", "%00", "nothing"])
def test_a14_a_name_reaches_no_file_but_the_result_s(api, released, name):
    answer = api.client("read").get(f"/v1/jobs/{released.id}/result/{name}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_reports_come_as_the_client_wants_them(api, released):
    client = api.client("read")
    for accept, media_type in (
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
    ):
        answer = client.get(f"/v1/jobs/{released.id}/report", headers={"Accept": accept})
        assert answer.headers["content-type"].split(";")[0] == media_type
    assert "sandbox" in answer.headers["content-security-policy"]
    problem(client.get(f"/v1/jobs/{released.id}/report", headers={"Accept": "image/png"}), 406, "http.not_acceptable")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("text/*", "text/html"),
        ("application/json;q=0.1,text/html;q=x", "application/json"),
        ("text/html;q=0, */*", "application/json"),
    ],
)
def test_weights_of_accept_are_heeded(accept, chosen):
    assert preferred(accept) == chosen

"""Who may what: keys, scopes, sessions, limits."""

from __future__ import annotations

import pytest
from support.serving import problem, served
from support.stores import held_job, queued

from medsr.jobs.keys import add_key, list_keys, revoke
from medsr.jobs.listing import job as find_job
from medsr.service.api import ApiSettings

ROUTES = [
    ("GET", "/v1/jobs", {"submit", "read", "review", "admin"}),
    ("POST", "/v1/inputs", {"submit"}),
    ("POST", "/v1/studies", {"submit"}),
    ("POST", "/v1/jobs", {"submit"}),
    ("POST", "/v1/validations", {"submit"}),
    ("POST", "/v1/jobs/00000000-0000-4000-8000-000000000000/decision", {"review"}),
    ("DELETE", "/v1/jobs/00000000-0000-4000-8000-000000000000", {"submit", "admin"}),
    ("GET", "/v1/models", {"submit", "read", "review", "admin"}),
    ("GET", "/v1/policies", {"submit", "read", "review", "admin"}),
    ("GET", "/v1/keys", {"admin"}),
    ("POST", "/v1/keys", {"admin"}),
    ("GET", "/v1/audit", {"admin"}),
    ("GET", "/v1/audit/verification", {"admin"}),
    ("GET", "/v1/drift", {"read", "review", "admin"}),
]


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer msr_x_y", "Basic YTpi", "Bearer " + "x" * 9000, "Bearer \xff"]
)
def test_a30_without_a_good_key_nothing_is_answered(api, header):
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = api.client().get("/v1/jobs", headers=headers)
    assert answer.status_code in (401, 429)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a30_every_route_asks_for_its_scope(api):
    clients = {scope: api.client(scope) for scope in ("submit", "read", "review", "admin")}
    for method, path, scopes in ROUTES:
        for scope, client in clients.items():
            status = client.request(method, path).status_code
            assert (status == 403) == (scope not in scopes), (method, path, scope, status)


def test_a30_wrong_keys_are_slowed_after_five_a_minute_and_a_right_one_is_not(api):
    client, good = api.client(), api.client("read")
    bad = {"Authorization": "Bearer msr_0000000000000000_wrong"}
    assert [client.get("/v1/jobs", headers=bad).status_code for _ in range(7)] == [401] * 5 + [429] * 2
    answer = client.get("/v1/jobs", headers=bad)
    problem(answer, 429, "auth.attempts")
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert good.get("/v1/jobs").status_code == 200
    problem(client.post("/v1/session", json={"key": "msr_0000000000000000_wrong"}), 429, "auth.attempts")


def test_a_key_has_its_requests_a_second(store):
    with served(store, ApiSettings(requests_per_s=3)) as api:
        client = api.client("read")
        answers = [client.get("/v1/models") for _ in range(20)]
        slowed = [answer for answer in answers if answer.status_code == 429]
        assert slowed
        problem(slowed[0], 429, "auth.rate")
        assert api.client("read", owner="other").get("/v1/jobs").status_code == 200


def test_a_revoked_and_an_expired_key_end_at_once(api, store, time):
    client = api.client("read", label="one")
    assert client.get("/v1/jobs").status_code == 200
    revoke(store, list_keys(store)[0].id, actor="system")
    problem(client.get("/v1/jobs"), 401, "auth.required")
    short = add_key(store, label="short", scopes=["read"], expires_s=10).secret
    headers = {"Authorization": f"Bearer {short}"}
    assert api.client().get("/v1/jobs", headers=headers).status_code == 200
    time.sleep(11)
    assert api.client().get("/v1/jobs", headers=headers).status_code == 401


def test_keys_are_made_listed_and_revoked_over_http(api):
    admin = api.client("admin")
    answer = admin.post("/v1/keys", json={"label": "ward", "scopes": ["read"], "days": 1.0})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    client = api.client()
    client.headers["Authorization"] = f"Bearer {made['secret']}"
    assert client.get("/v1/jobs").status_code == 200
    listed = admin.get("/v1/keys")
    assert made["secret"] not in listed.text
    assert made["id"] in [key["id"] for key in listed.json()["keys"]]
    assert admin.delete(f"/v1/keys/{made['id']}").status_code == 204
    problem(admin.delete(f"/v1/keys/{made['id']}"), 409, "key.revoked")
    problem(admin.delete("/v1/keys/0123"), 404, "key.none")
    assert client.get("/v1/jobs").status_code == 401


@pytest.fixture
def page(api):
    """A browser that is logged in as a reader."""
    client = api.client()
    answer = client.post("/v1/session", json={"key": api.key("read", "review", label="A. Reader")})
    assert answer.status_code == 200, answer.text
    client.csrf = answer.json()["csrf"]
    client.cookie_header = answer.headers["set-cookie"]
    return client


def test_a31_the_cookie_is_closed_to_scripts_and_foreign_sites(page):
    words = {word.strip().lower() for word in page.cookie_header.split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= words
    assert page.get("/v1/session").json()["label"] == "A. Reader"
    assert page.get("/v1/jobs").status_code == 200


def test_behind_tls_the_cookie_is_secure(store):
    with served(store, ApiSettings(secure_cookies=True)) as api:
        answer = api.client().post("/v1/session", json={"key": api.key("read")})
        assert "secure" in answer.headers["set-cookie"].lower()


def test_a31_a_form_of_another_site_decides_nothing(api, page, store, tmp_path):
    """The cookie alone, as a foreign page would send it, changes nothing; with the token it does."""
    job = held_job(store, tmp_path / "out")
    body = {"verdict": "released", "reason": "seen", "output_sha256": job.output_sha256}
    headers = {"If-Match": f'"{job.etag}"'}
    url = f"/v1/jobs/{job.id}/decision"
    problem(page.post(url, json=body, headers=headers), 403, "session.csrf")
    problem(page.post(url, json=body, headers=headers | {"X-CSRF-Token": "0" * 64}), 403, "session.csrf")
    assert find_job(store, job.id).state == "review"
    assert page.post(url, json=body, headers=headers | {"X-CSRF-Token": page.csrf}).status_code == 200


def test_a_session_ends_when_it_is_closed(page):
    assert page.delete("/v1/session", headers={"X-CSRF-Token": page.csrf}).status_code == 204
    assert page.get("/v1/jobs").status_code == 401


def test_a31_no_other_origin_reads_and_nobody_frames(api, store):
    queued(store)
    answer = api.client("read").get("/v1/jobs", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_errors_carry_the_headers_too(api):
    answer = api.client().get("/nothing")
    problem(answer, 404, "http.not_found")
    assert answer.headers["x-content-type-options"] == "nosniff"

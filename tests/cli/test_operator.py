"""Commands of an operator: keys, audit, purge, backup, on a store beside the service."""

from __future__ import annotations

import json

import pytest
from support.stores import LIMITS, held_job, queued

from medsr.jobs.audit import head
from medsr.jobs.inputs import set_study
from medsr.jobs.keys import authenticate
from medsr.jobs.listing import job as find_job
from medsr.jobs.store import close_store, open_store


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store that MEDSR_STORE names."""
    monkeypatch.setenv("MEDSR_STORE", str(tmp_path / "store"))
    made = open_store(tmp_path / "store", limits=LIMITS)
    yield made
    close_store(made)


def test_a_key_is_shown_once_listed_without_its_secret_and_revoked(medsr, store):
    made = medsr("keys", "add", "ward 3", "--scope", "submit", "--scope", "read", "--days", "30")
    assert made.code == 0, made.err
    secret = made.out.strip()
    assert authenticate(store, secret).scopes == {"submit", "read"}
    listed = json.loads(medsr("keys", "list", "--json").out)["keys"]
    assert [(key["label"], key["scopes"], key["revoked"]) for key in listed] == [("ward 3", ["read", "submit"], None)]
    assert secret not in json.dumps(listed)
    assert medsr("keys", "revoke", listed[0]["id"]).code == 0
    assert "revoked" in medsr("keys", "list").out
    again = medsr("keys", "revoke", listed[0]["id"])
    assert (again.code, "key.revoked" in again.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("keys", "add", "x", "--scope", "root"), "key.scope"),
        (("keys", "add", "x", "--scope", "read", "--days", "-1"), "key.expiry"),
        (("audit", "verify", "--head", "abc"), "audit.head"),
        (("purge",), "purge.what"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_code(medsr, store, arguments, code):
    ran = medsr(*arguments)
    assert (ran.code, code in ran.err) == (2, True), ran.err


def test_a_folder_without_a_store_is_refused_and_left_alone(medsr, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSR_STORE", str(tmp_path / "nothing"))
    ran = medsr("keys", "list")
    assert (ran.code, "store.none" in ran.err, (tmp_path / "nothing").exists()) == (2, True, False)


def test_the_audit_is_followed_and_an_altered_one_is_seen(medsr, store):
    queued(store)
    ran = medsr("audit", "verify")
    at = head(store)
    assert (ran.code, ran.out.strip()) == (0, f"whole: {at.seq}:{at.hash}")
    queued(store, b"another")
    assert medsr("audit", "verify", "--head", f"{at.seq}:{at.hash}").code == 0
    assert "submit" in medsr("audit", "list", "--after", "1").out
    other = f"{at.seq}:{'0' * 64}"
    broken = medsr("audit", "verify", "--head", other)
    assert (broken.code, "audit.chain" in broken.err) == (4, True)


def test_a_study_is_purged_on_request(medsr, store, tmp_path):
    made = held_job(store, tmp_path / "out")
    set_study(store, made.input_sha256, "1.2.3.4")
    assert medsr("purge", "--study", "1.2.3.4").code == 0
    assert find_job(store, made.id).state == "purged"


def test_a_backup_names_the_audit_head(medsr, store, tmp_path):
    held_job(store, tmp_path / "out")
    at = head(store)
    ran = medsr("backup", tmp_path / "copy")
    assert ran.code == 0, ran.err
    assert ran.out.strip() == f"audit head: {at.seq}:{at.hash}"
    assert medsr("backup", tmp_path / "copy").code == 2

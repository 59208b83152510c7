"""A decision is bound to what the reader saw, and the database itself lets nothing else out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import sqlalchemy as sa
from support.stores import READER, held_job, queued

from medsr.errors import Conflict, Denied, IntegrityError, TransitionError, UsageError
from medsr.jobs import audit
from medsr.jobs.decisions import decide, decisions
from medsr.jobs.files import file_path
from medsr.jobs.listing import job
from medsr.jobs.results import open_result, result_files
from medsr.jobs.store import writing
from medsr.jobs.tables import audit as audit_table
from medsr.jobs.tables import gate
from medsr.jobs.tables import job as job_table
from medsr.release.record import parse_signed


@pytest.fixture
def held(store, tmp_path):
    return held_job(store, tmp_path / "out")


def approve(store, held, **changes):
    asked = {
        "reader": READER, "identity": "A. Reader", "verdict": "released", "reason": "compared with the input",
        "output_sha256": held.output_sha256, "etag": held.etag,
    } | changes  # fmt: skip
    return decide(store, held.id, **asked)


def test_m17_an_approval_of_another_hash_is_refused(store, held):
    with pytest.raises(Conflict, match=r"decision.stale"):
        approve(store, held, output_sha256="0" * 64)
    assert job(store, held.id).state == "review"
    assert decisions(store, held.id) == ()


def test_m17_held_bytes_that_changed_are_never_approved(store, held):
    image = next(file for file in result_files(store, held.id) if file.kind == "image")
    path = file_path(store.files, image.sha256)
    path.write_bytes(path.read_bytes().replace(b"pixels", b"pixelz"))
    with pytest.raises(IntegrityError, match=r"store.rot"):
        approve(store, held)
    assert job(store, held.id).state == "review"


def test_a33_an_approval_of_a_stale_page_is_refused(store, held):
    with pytest.raises(Conflict, match=r"decision.stale"):
        approve(store, held, etag=f"{held.id[:8]}-{held.version - 1}")


def test_four_eyes_the_sender_may_refuse_but_not_release(store, held):
    same_key = replace(READER, key=held.api_key)
    same_owner = replace(READER, owner=held.owner)
    for reader in (same_key, same_owner):
        with pytest.raises(Denied, match=r"decision.four_eyes"):
            approve(store, held, reader=reader, four_eyes=True)
    assert approve(store, held, reader=same_key, four_eyes=True, verdict="rejected").state == "rejected"


@pytest.mark.parametrize("text", ["", "  ", "x" * 501, "line\nbreak"])
def test_name_and_reason_are_wanted(store, held, text):
    with pytest.raises(UsageError, match=r"decision.reason"):
        approve(store, held, reason=text)
    with pytest.raises(UsageError, match=r"decision.reason"):
        approve(store, held, identity=text)


def test_a_key_without_review_decides_nothing(store, held):
    with pytest.raises(Denied, match=r"decision.scope"):
        approve(store, held, reader=replace(READER, scopes=frozenset({"submit", "read", "admin"})))


def test_a_decision_is_made_once(store, held):
    approve(store, held)
    with pytest.raises(TransitionError, match=r"job.transition"):
        approve(store, job(store, held.id))
    with pytest.raises(TransitionError, match=r"job.transition"):
        approve(store, queued(store, b"other"))


def test_the_decision_is_signed_and_audited(store, held, tmp_path):
    released = approve(store, held)
    file, stream = open_result(store, released, "release.json")
    with stream:
        path = tmp_path / "release.json"
        path.write_bytes(stream.read())
    told = parse_signed(path)
    assert (file.kind, told["state"], told["output_sha256"]) == ("release", "released", held.output_sha256)
    assert [entry["reader"] for entry in told["decisions"]] == ["A. Reader"]
    entry = audit.entries(store)[-1]
    assert (entry.actor, entry.deed, entry.object) == (READER.key, "decide", held.id)
    assert entry.data["release_sha256"] == file.sha256
    assert "A. Reader" not in json.dumps(dict(entry.data))


def refused(store, statement):
    with pytest.raises(sa.exc.DBAPIError, match=r"released without|append-only"), writing(store) as connection:
        connection.execute(statement)


def test_the_database_refuses_released_without_a_pass_or_decision(store, held):
    this = sa.update(job_table).where(job_table.c.id == held.id)
    refused(store, this.values(state="released"))
    with writing(store) as connection:
        connection.execute(
            sa.insert(gate).values(
                job=held.id, output_sha256="0" * 64, word="released", reasons="[]", pixels_sha256="", at=0.0,
                policy_sha256="", row_hash="",
            )
        )  # fmt: skip
    refused(store, this.values(state="released"))
    assert approve(store, held).state == "released"
    refused(store, this.values(output_sha256="1" * 64))
    columns = [sa.literal("0" * 36) if column.name == "id" else column for column in job_table.c]
    refused(store, sa.insert(job_table).from_select(job_table.c.keys(), sa.select(*columns)))


def test_the_database_refuses_to_change_the_audit(store, held):
    refused(store, sa.update(audit_table).values(actor="nobody"))
    refused(store, sa.delete(audit_table))

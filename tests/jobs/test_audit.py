"""The audit is a chain: a changed, missing, added or cut entry is found, with its number."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from support.stores import queued

from medsr.errors import IntegrityError
from medsr.jobs import audit
from medsr.jobs.store import writing
from medsr.jobs.tables import audit as table
from medsr.jobs.tables import audit_head


@pytest.fixture
def four(sqlite_store):
    """Four entries, and the trigger out of the way as for one who owns the file."""
    for number in range(2):
        queued(sqlite_store, bytes([number]))
    with writing(sqlite_store) as connection:
        for deed in ("update", "delete"):
            connection.exec_driver_sql(f"DROP TRIGGER audit_{deed}")
    return sqlite_store


def tamper(store, statement):
    with writing(store) as connection:
        connection.execute(statement)


def test_an_untouched_chain_verifies_up_to_its_head(store):
    assert audit.verify(store).seq == 0
    queued(store)
    first = audit.head(store)
    queued(store, b"2")
    assert audit.verify(store, known=first) == audit.head(store)
    assert [entry.seq for entry in audit.entries(store, after=2)] == [3, 4]


@pytest.mark.parametrize(
    ("statement", "number"),
    [
        (sa.update(table).where(table.c.seq == 2).values(actor="nobody"), 2),
        (sa.update(table).where(table.c.seq == 3).values(data="{}"), 3),
        (sa.delete(table).where(table.c.seq == 2), 2),
        (sa.delete(table).where(table.c.seq == 1), 1),
    ],
)
def test_a_changed_or_missing_entry_is_found(four, statement, number):
    tamper(four, statement)
    with pytest.raises(IntegrityError, match=f"audit entry {number} does not follow"):
        audit.verify(four)


def test_a_chain_cut_at_its_end_is_found(four):
    tamper(four, sa.delete(table).where(table.c.seq == 4))
    with pytest.raises(IntegrityError, match=r"audit ends at entry 3"):
        audit.verify(four)


def test_a_chain_written_anew_is_found_by_an_exported_head(four):
    known = audit.head(four)
    tamper(four, sa.delete(table))
    tamper(four, sa.update(audit_head).values(seq=0, hash=audit.GENESIS))
    queued(four, b"3")
    queued(four, b"4")
    audit.verify(four)
    with pytest.raises(IntegrityError, match=r"does not pass through the exported head"):
        audit.verify(four, known=known)


def test_m25_a_deed_that_fails_leaves_no_entry_and_an_entry_that_fails_leaves_no_deed(store, monkeypatch):
    """Deed and entry are one transaction, whichever of both fails."""
    from medsr.jobs.listing import counts
    from medsr.resources.failpoints import FailpointError

    before = audit.head(store).seq
    monkeypatch.setenv("MEDSR_FAIL", "audit.append:2:raise")
    with pytest.raises(FailpointError):
        queued(store)
    assert counts(store)["queued"] == 0
    assert audit.head(store).seq == before + 1  # that of the upload
    monkeypatch.setenv("MEDSR_FAIL", "submit.commit:1:raise")
    with pytest.raises(FailpointError):
        queued(store)
    assert (counts(store)["queued"], audit.head(store).seq) == (0, before + 1)
    assert audit.verify(store) == audit.head(store)

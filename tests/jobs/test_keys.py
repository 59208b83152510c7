"""Keys and sessions: shown once, hashed, ended at once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from support.stores import LIMITS

from medsr.errors import Conflict, Denied, IntegrityError, NotFound, UsageError
from medsr.jobs import sessions
from medsr.jobs.keys import add_key, authenticate, first_key, list_keys, revoke
from medsr.jobs.sessions import check_csrf, close_session, open_session, session_of
from medsr.jobs.store import many, reading, writing
from medsr.jobs.tables import METADATA, api_key


def test_a_key_opens_what_its_scopes_say_and_nothing_of_it_is_stored(store):
    made = add_key(store, label="ward 7", scopes=["submit", "read"])
    assert made.secret.startswith(f"msr_{made.key.id}_")
    principal = authenticate(store, made.secret)
    assert (principal.key, principal.owner, principal.scopes) == (made.key.id, made.key.id, {"submit", "read"})
    assert principal.may("read")
    assert not principal.may("admin")
    random = made.secret.split("_", 2)[2]
    with reading(store) as connection:
        rows = [str(row) for table in METADATA.sorted_tables for row in many(connection, sa.select(table))]
    assert not [row for row in rows if random in row]


@pytest.mark.parametrize("form", ["{key}A", "{key:.50}", "{key:.0}", "msr_", "x{key}", "msr__{key}", "é{key}"])
def test_a30_a_wrong_key_is_refused_alike(store, form):
    made = add_key(store, label="k", scopes=["read"])
    with pytest.raises(Denied, match=r"key.refused"):
        authenticate(store, form.format(key=made.secret))


def test_an_expired_or_revoked_key_is_refused(store, time):
    short, lasting = (add_key(store, label="k", scopes=["read"], expires_s=seconds) for seconds in (60, None))
    time.sleep(60)
    with pytest.raises(Denied, match=r"key.refused"):
        authenticate(store, short.secret)
    assert revoke(store, lasting.key.id, actor="admin").revoked == time.wall
    with pytest.raises(Denied, match=r"key.refused"):
        authenticate(store, lasting.secret)
    with pytest.raises(Conflict, match=r"key.revoked"):
        revoke(store, lasting.key.id, actor="admin")
    with pytest.raises(NotFound, match=r"key.none"):
        revoke(store, "0" * 16, actor="admin")
    assert {key.id for key in list_keys(store)} == {short.key.id, lasting.key.id}


def test_the_first_start_makes_one_administrators_key(store):
    made = first_key(store)
    assert authenticate(store, made.secret).scopes == {"submit", "read", "review", "admin"}
    assert first_key(store) is None


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (r"key.label", {"label": ""}), (r"key.label", {"label": "a\nb"}), (r"key.scope", {"scopes": []}),
        (r"key.scope", {"scopes": ["root"]}), (r"key.expiry", {"expires_s": 0}),
    ],
)  # fmt: skip
def test_a_key_that_makes_no_sense_is_refused(store, code, changes):
    with pytest.raises(UsageError, match=code):
        add_key(store, **({"label": "k", "scopes": ["read"]} | changes))


def test_f09_scopes_changed_in_the_database_are_noticed(store):
    made = add_key(store, label="k", scopes=["read"])
    with writing(store) as connection:
        connection.execute(sa.update(api_key).values(scopes="admin,read"))
    with pytest.raises(IntegrityError, match=r"store.row"):
        authenticate(store, made.secret)


def test_a_session_lasts_until_it_expires_is_closed_or_its_key_ends(store, time):
    made = add_key(store, label="reader", scopes=["review"])
    principal = authenticate(store, made.secret)
    one, two, three = (open_session(store, principal) for _ in range(3))
    assert session_of(store, one.cookie) == one
    close_session(store, one.cookie)
    with pytest.raises(Denied, match=r"session.ended"):
        session_of(store, one.cookie)
    time.sleep(LIMITS.session_s)
    with pytest.raises(Denied, match=r"session.ended"):
        session_of(store, two.cookie)
    with writing(store) as connection:
        assert sessions.forget_old(connection, store) == 2
    fresh = open_session(store, principal)
    revoke(store, made.key.id, actor="admin")
    for cookie in (fresh.cookie, three.cookie, ""):
        with pytest.raises(Denied):
            session_of(store, cookie)


def test_a31_a_form_of_another_session_is_refused(store):
    principal = authenticate(store, add_key(store, label="reader", scopes=["review"]).secret)
    one, two = open_session(store, principal), open_session(store, principal)
    check_csrf(one, one.csrf)
    for token in (two.csrf, "", "é"):
        with pytest.raises(Denied, match=r"session.csrf"):
            check_csrf(one, token)

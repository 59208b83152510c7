"""Sessions of the review page: a cookie instead of a key, so that no key lies in a browser."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import Denied
from medsr.jobs.keys import Principal, principal_of
from medsr.jobs.store import Store, one, reading, writing
from medsr.jobs.tables import api_key, session

__all__ = ["Session", "check_csrf", "close_session", "forget_old", "open_session", "session_of"]


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in reader.

    Parameters
    ----------
    cookie : the secret of the browser; the store has its hash alone.
    csrf : token that a form of this session must carry; made from the cookie, so that nothing else is kept.
    expires : seconds since 1970.
    """

    principal: Principal
    cookie: str
    csrf: str
    expires: float


def open_session(store: Store, principal: Principal) -> Session:
    """Sign in after `keys.authenticate`; lasts `Limits.session_s` and ends with its key."""
    cookie = base64.urlsafe_b64encode(store.random.token(32)).decode().rstrip("=")
    now = store.now()
    row = {
        "cookie_sha256": _hash(cookie), "api_key": principal.key, "created": now,
        "expires": now + store.limits.session_s,
    }  # fmt: skip
    with writing(store) as connection:
        connection.execute(sa.insert(session).values(row))
    return Session(principal, cookie, _csrf(cookie), now + store.limits.session_s)


def session_of(store: Store, cookie: str) -> Session:
    """The session of a cookie.

    Raises
    ------
    Denied : ``session.ended``, for an unknown or expired one; ``key.refused``, if its key has ended.
    """
    joined = session.join(api_key, api_key.c.id == session.c.api_key)
    wanted = (
        sa.select(api_key, session.c.expires.label("ends"))
        .select_from(joined)
        .where(session.c.cookie_sha256 == _hash(cookie))
    )
    with reading(store) as connection:
        row = one(connection, wanted)
    if row is None or row["ends"] <= store.now():
        raise Denied("session.ended", "the session has ended")
    key = {name: value for name, value in row.items() if name != "ends"}
    return Session(principal_of(key, store.now()), cookie, _csrf(cookie), row["ends"])


def check_csrf(held: Session, token: str) -> None:
    """Hold that a form came from a page of this very session.

    Raises
    ------
    Denied : ``session.csrf``.
    """
    if not hmac.compare_digest(held.csrf.encode(), token.encode()):
        raise Denied("session.csrf", "the form was not made by a page of this session")


def close_session(store: Store, cookie: str) -> None:
    """Sign out; an unknown cookie is no error."""
    with writing(store) as connection:
        connection.execute(sa.delete(session).where(session.c.cookie_sha256 == _hash(cookie)))


def forget_old(connection: Connection, store: Store) -> int:
    """Remove expired sessions; returns how many."""
    return connection.execute(sa.delete(session).where(session.c.expires <= store.now())).rowcount


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


def _csrf(cookie: str) -> str:
    return hashlib.sha256(f"csrf:{cookie}".encode()).hexdigest()

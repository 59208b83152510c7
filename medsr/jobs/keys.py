"""API keys: shown once, stored as a hash, with scopes and an end.

A secret is ``msr_<id>_<256 random bits>``; its hash needs no salt and no stretching, since nobody guesses 256 bits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import sqlalchemy as sa
from sqlalchemy import Connection

from medsr.errors import Conflict, Denied, IntegrityError, NotFound, UsageError
from medsr.jobs import audit
from medsr.jobs.rows import sealed
from medsr.jobs.store import Row, Store, many, one, reading, writing
from medsr.jobs.tables import api_key, session

__all__ = [
    "SCOPES", "ApiKey", "NewKey", "Principal", "Scope", "add_key", "authenticate", "first_key", "list_keys",
    "principal_of", "revoke",
]  # fmt: skip

Scope = Literal["submit", "read", "review", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

_PREFIX = "msr"
_LONGEST_LABEL = 128
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the store knows it: never its secret."""

    id: str
    owner: str
    label: str
    scopes: frozenset[Scope]
    created: float
    expires: float | None
    revoked: float | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made, with the secret that is shown this once."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks.

    Parameters
    ----------
    key : id of the key, which the audit names.
    owner : whose jobs these are; a renewed key may share its predecessor's.
    """

    key: str
    owner: str
    label: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether the key has the scope; ``admin`` does not include the others."""
        return scope in self.scopes


def add_key(
    store: Store,
    *,
    label: str,
    scopes: Sequence[str],
    expires_s: float | None = None,
    owner: str | None = None,
    actor: str = "system",
) -> NewKey:
    """Make a key.

    Parameters
    ----------
    label : for people: a ward, a program; 1 to 128 printable characters.
    expires_s : seconds from now, None for never.
    owner : whose jobs it sees; its own alone unless given.

    Raises
    ------
    UsageError : ``key.label``, ``key.scope``, ``key.expiry``.
    """
    with writing(store) as connection:
        return _add(connection, store, label=label, scopes=scopes, expires_s=expires_s, owner=owner, actor=actor)


def first_key(store: Store) -> NewKey | None:
    """The administrator's key of a store that has none yet, made once; None ever after."""
    with writing(store) as connection:
        if connection.execute(sa.select(sa.func.count()).select_from(api_key)).scalar_one():
            return None
        return _add(
            connection, store, label="first start", scopes=SCOPES, expires_s=None, owner=None, actor="system"
        )  # fmt: skip


def list_keys(store: Store) -> tuple[ApiKey, ...]:
    """Every key, oldest first, revoked and expired ones too."""
    with reading(store) as connection:
        rows = many(connection, sa.select(api_key).order_by(api_key.c.created, api_key.c.id))
    return tuple(_key(row) for row in rows)


def revoke(store: Store, key_id: str, *, actor: str) -> ApiKey:
    """End a key and every session that was opened with it, at once.

    Raises
    ------
    NotFound : ``key.none``.
    Conflict : ``key.revoked``, if it was revoked before.
    """
    with writing(store) as connection:
        wanted = sa.select(api_key).where(api_key.c.id == key_id).with_for_update()
        row = one(connection, wanted)
        if row is None:
            raise NotFound("key.none", "there is no such key")
        if row["revoked"] is not None:
            raise Conflict("key.revoked", "the key was revoked before")
        after = {**row, "revoked": store.now()}
        after["row_hash"] = _sealed(after)
        values = {"revoked": after["revoked"], "row_hash": after["row_hash"]}
        connection.execute(sa.update(api_key).where(api_key.c.id == key_id).values(values))
        connection.execute(sa.delete(session).where(session.c.api_key == key_id))
        audit.append(connection, store, actor=actor, deed="key.revoke", object_id=key_id, data={})
    return _key(after)


def authenticate(store: Store, secret: str) -> Principal:
    """Who a secret belongs to; compared in constant time, and the same refusal whatever is wrong with it.

    Raises
    ------
    Denied : ``key.refused``.
    """
    prefix, _, rest = secret.partition("_")
    key_id, _, random = rest.partition("_")
    known = key_id if prefix == _PREFIX and random and len(secret) <= _LONGEST_LABEL else ""
    with reading(store) as connection:
        row = one(connection, sa.select(api_key).where(api_key.c.id == known))
    stored = _NOBODY if row is None else str(row["secret_sha256"])
    same = hmac.compare_digest(hashlib.sha256(secret.encode()).hexdigest(), stored)
    if row is None or not same:
        raise Denied("key.refused", "the key is unknown, expired or revoked")
    return principal_of(row, store.now())


def principal_of(row: Row, now: float) -> Principal:
    """The holder of a key's row, if it is still good.

    Raises
    ------
    Denied : ``key.refused``.
    IntegrityError : ``store.row``.
    """
    key = _key(row)
    if key.revoked is not None or (key.expires is not None and key.expires <= now):
        raise Denied("key.refused", "the key is unknown, expired or revoked")
    return Principal(key.id, key.owner, key.label, key.scopes)


def _add(
    connection: Connection, store: Store, *, label: str, scopes: Sequence[str], expires_s: float | None,
    owner: str | None, actor: str,
) -> NewKey:  # fmt: skip
    if not 1 <= len(label) <= _LONGEST_LABEL or not label.isprintable():
        raise UsageError("key.label", f"a label is 1 to {_LONGEST_LABEL} printable characters")
    unknown = set(scopes) - set(SCOPES)
    if unknown or not scopes:
        raise UsageError("key.scope", f"scopes are among {', '.join(SCOPES)}")
    if expires_s is not None and expires_s <= 0:
        raise UsageError("key.expiry", "a key that has expired already serves nobody")
    key_id = store.random.token(8).hex()
    secret = f"{_PREFIX}_{key_id}_{base64.urlsafe_b64encode(store.random.token(32)).decode().rstrip('=')}"
    now = store.now()
    row: Row = {
        "id": key_id, "owner": owner or key_id, "label": label, "scopes": ",".join(sorted(set(scopes))),
        "secret_sha256": hashlib.sha256(secret.encode()).hexdigest(), "created": now,
        "expires": None if expires_s is None else now + expires_s, "revoked": None,
    }  # fmt: skip
    row["row_hash"] = _sealed(row)
    connection.execute(sa.insert(api_key).values(row))
    audit.append(connection, store, actor=actor, deed="key.add", object_id=key_id, data={"scopes": row["scopes"]})
    return NewKey(_key(row), secret)


def _sealed(row: Row) -> str:
    return sealed(row, without=frozenset({"row_hash"}))


def _key(row: Row) -> ApiKey:
    if _sealed(row) != row["row_hash"]:
        raise IntegrityError("store.row", f"the row of key {row['id']} is not what was written")
    scopes = frozenset(cast(Scope, scope) for scope in str(row["scopes"]).split(","))
    return ApiKey(row["id"], row["owner"], row["label"], scopes, row["created"], row["expires"], row["revoked"])

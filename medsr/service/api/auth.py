"""Who asks: a key in the Authorization header, or the session of a page with its token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.datastructures import Headers
from starlette.types import Scope as AsgiScope

from medsr.errors import Denied
from medsr.jobs.keys import Principal, Scope, authenticate
from medsr.jobs.sessions import Session, check_csrf, session_of
from medsr.service.api.desk import Desk
from medsr.service.api.problem import Problem

__all__ = ["COOKIE", "Caller", "address_of", "identify", "requires", "visible_owner", "wrong_key"]

COOKIE = "medsr_session"

_PUBLIC = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})
_ASSETS = "/review/static/"
_PICTURE = re.compile(r"^/v1/jobs/[0-9a-f-]{36}/preview/[a-z]+\.png$")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE: Mapping[str, str] = {"WWW-Authenticate": 'Bearer realm="medsr"'}

_bearer = HTTPBearer(auto_error=False, description="A key of `medsr keys add`: `msr_...`.")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="Session of the review page.")


async def identify(desk: Desk, scope: AsgiScope) -> None:
    """Put the principal into the scope's state, or refuse before the body is read.

    Raises
    ------
    Problem : 401 ``auth.required``; 403 ``session.csrf``; 429 ``auth.attempts`` after too many wrong keys of an
        address, ``auth.rate`` for a key that asks too often.
    """
    state: dict[str, Any] = scope.setdefault("state", {})
    state["principal"], state["session"] = None, None
    path = scope["path"]
    needed = path.startswith("/v1/") and not (path == "/v1/session" and scope["method"] == "POST")
    page = path.startswith("/review") and not path.startswith(_ASSETS)
    if path in _PUBLIC or not (needed or page):
        return
    headers = Headers(scope=scope)
    given = headers.get("authorization")
    if given is not None:
        state["principal"] = await _of_key(desk, scope, given)
    else:
        await _of_cookie(desk, scope, headers, state)
    principal = state["principal"]
    if principal is None:
        if needed:
            raise Problem(401, "auth.required", headers=_CHALLENGE)
        return
    if _PICTURE.search(path):
        # A reader who turns through slices asks for dozens a second, each a few milliseconds of work.
        return
    wait = desk.pace.wait_s(principal.key)
    if wait:
        raise Problem(429, "auth.rate", headers={"Retry-After": str(max(1, round(wait)))})


def wrong_key(desk: Desk, address: str) -> Problem:
    """The answer to a wrong key: 401, or 429 once the address tried too many. A right key is never locked out."""
    wait = desk.attempts.failed(address)
    if wait:
        return Problem(429, "auth.attempts", headers={"Retry-After": str(max(1, round(wait)))})
    return Problem(401, "auth.required", headers=_CHALLENGE)


def address_of(scope: AsgiScope) -> str:
    """The client's address."""
    client = scope.get("client")
    return str(client[0]) if client else ""


async def _of_key(desk: Desk, scope: AsgiScope, given: str) -> Principal:
    scheme, _, secret = given.partition(" ")
    if scheme.lower() != "bearer":
        raise wrong_key(desk, address_of(scope))
    try:
        return await desk.calls.run(authenticate, desk.store, secret.strip())
    except Denied:
        raise wrong_key(desk, address_of(scope)) from None


async def _of_cookie(desk: Desk, scope: AsgiScope, headers: Headers, state: dict[str, Any]) -> None:
    cookie = _cookie_value(headers.get("cookie", ""))
    if cookie is None:
        return
    try:
        held: Session = await desk.calls.run(session_of, desk.store, cookie)
    except Denied:
        return
    if scope["method"] not in _SAFE:
        try:
            check_csrf(held, headers.get("x-csrf-token", ""))
        except Denied:
            raise Problem(403, "session.csrf") from None
    state["principal"], state["session"] = held.principal, held


def _cookie_value(header: str) -> str | None:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _caller(
    request: Request, _key: Annotated[Any, Security(_bearer)], _page: Annotated[Any, Security(_cookie)]
) -> Principal:
    principal = request.state.principal
    if not isinstance(principal, Principal):
        raise Problem(401, "auth.required", headers=_CHALLENGE)
    return principal


Caller = Annotated[Principal, Depends(_caller)]
"""Who asks, as a parameter of a route."""


def requires(*scopes: Scope) -> Any:
    """A dependency: the caller has one of the scopes, else 403."""

    def check(caller: Caller) -> None:
        if not any(caller.may(scope) for scope in scopes):
            raise Problem(403, "auth.scope")

    return Depends(check)


def visible_owner(caller: Principal) -> str | None:
    """Whose jobs the caller sees: None for all, which a reader and an administrator need."""
    return None if caller.may("review") or caller.may("admin") else caller.owner

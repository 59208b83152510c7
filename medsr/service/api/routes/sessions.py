"""Sessions of the review page: a key is shown once, then a cookie that no script can read."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from medsr.errors import Denied
from medsr.jobs.keys import Principal, authenticate
from medsr.jobs.sessions import Session, close_session, open_session
from medsr.service.api.auth import COOKIE, Caller, address_of, wrong_key
from medsr.service.api.desk import Desk, Here
from medsr.service.api.documented import problems
from medsr.service.api.schemas import SessionIn, SessionOut

__all__ = ["router"]

router = APIRouter(prefix="/v1/session", tags=["session"])


@router.post("", response_model=SessionOut, responses=problems(408, 413))
async def opened(asked: SessionIn, request: Request, response: Response, desk: Here) -> SessionOut:
    """Log in with a key. The cookie is HttpOnly and SameSite=Strict; `csrf` goes into X-CSRF-Token."""
    try:
        principal = await desk.calls.run(authenticate, desk.store, asked.key)
    except Denied:
        raise wrong_key(desk, address_of(request.scope)) from None
    session = await desk.calls.run(open_session, desk.store, principal)
    _set(response, desk, session.cookie, int(session.expires - desk.store.now()))
    return _shown(principal, session)


@router.get("", response_model=SessionOut, responses=problems())
async def held(request: Request, caller: Caller) -> SessionOut:
    """Who is logged in."""
    return _shown(caller, request.state.session)


@router.delete("", status_code=204, responses={204: {"description": "Logged out."}, **problems()})
async def closed(request: Request, desk: Here, _: Caller) -> Response:
    """Log out: the cookie opens nothing any more."""
    session = request.state.session
    if isinstance(session, Session):
        await desk.calls.run(close_session, desk.store, session.cookie)
    response = Response(status_code=204)
    _set(response, desk, "", 0)
    return response


def _set(response: Response, desk: Desk, value: str, seconds: int) -> None:
    response.set_cookie(
        COOKIE, value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=desk.settings.secure_cookies
    )  # fmt: skip


def _shown(principal: Principal, session: Session | None) -> SessionOut:
    return SessionOut(
        key=principal.key,
        owner=principal.owner,
        label=principal.label,
        scopes=sorted(principal.scopes),
        csrf=None if session is None else session.csrf,
        expires=None if session is None else session.expires,
    )

"""Errors as RFC 9457 says them: one form, a reason code, and never a value that came from outside.

A fact may quote a header or a file name, so the body carries the remedy of the code and not the fact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from medsr.errors import (
    Conflict,
    Denied,
    IntegrityError,
    MedsrError,
    MissingExtra,
    NotFound,
    Refusal,
    TransitionError,
    Unavailable,
    UsageError,
)
from medsr.remedies import REMEDIES

__all__ = ["MEDIA_TYPE", "Problem", "add_handlers", "problem_of", "response_of"]

MEDIA_TYPE = "application/problem+json"

_log = structlog.get_logger(__name__)

_BY_STATUS: Mapping[int, str] = {
    400: "http.malformed",
    401: "auth.required",
    403: "auth.scope",
    404: "http.not_found",
    405: "http.method",
    406: "http.not_acceptable",
    413: "http.too_large",
    415: "http.media_type",
    416: "http.range",
    422: "http.invalid",
    503: "store.busy",
}

_BY_CODE: Mapping[str, int] = {
    "result.gone": 410,
    "job.idempotency": 422,
    "job.owner_full": 429,
    "key.refused": 401,
    "session.ended": 401,
    "store.full": 507,
}
"""Status of codes that do not follow their kind."""

_BY_KIND: tuple[tuple[type[MedsrError], int], ...] = (
    (Refusal, 422),
    (UsageError, 422),
    (MissingExtra, 501),
    (TransitionError, 409),
    (NotFound, 404),
    (Conflict, 409),
    (Denied, 403),
    (Unavailable, 503),
    (IntegrityError, 500),
)
_LATER = (429, 503)
_RETRY_S = "2"


class Problem(HTTPException):
    """An answer that is no success.

    Parameters
    ----------
    code : reason code with a remedy in :data:`medsr.remedies.REMEDIES`.
    places : names of the fields that were refused, as a schema names them; never their values.
    """

    def __init__(
        self, status: int, code: str, *, headers: Mapping[str, str] | None = None, places: tuple[str, ...] = ()
    ) -> None:
        self.code, self.remedy, self.places = code, REMEDIES[code], places
        super().__init__(status, detail=self.remedy, headers=dict(headers or {}))


def problem_of(error: MedsrError) -> Problem:
    """The answer to an error of a room below: its code and remedy, without its fact."""
    status = _BY_CODE.get(error.code)
    if status is None:
        status = next((status for kind, status in _BY_KIND if isinstance(error, kind)), 500)
    return Problem(status, error.code, headers={"Retry-After": _RETRY_S} if status in _LATER else None)


def response_of(problem: Problem) -> JSONResponse:
    """The problem as a response."""
    body: dict[str, object] = {
        "type": f"urn:medsr:{problem.code}",
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "code": problem.code,
        "detail": problem.remedy,
    }
    if problem.places:
        body["places"] = list(problem.places)
    return JSONResponse(body, problem.status_code, headers=problem.headers, media_type=MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Let every error of the app leave in the one form."""
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(MedsrError, _of_medsr)
    app.add_exception_handler(OSError, _of_disk)
    app.add_exception_handler(Exception, _of_anything)


async def _of_http(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Problem):
        return response_of(error)
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": _allowed(request)}
    return response_of(Problem(status, _BY_STATUS.get(status, "http.internal"), headers=headers))


def _allowed(request: Request) -> str:
    """Every method of the path: the router names those of its first route alone."""
    found: set[str] = set()
    for template, methods in request.app.openapi()["paths"].items():
        # re.escape puts a backslash before each brace; the name of a result may hold slashes.
        pattern = re.sub(r"\\{name\\}", ".*", re.escape(template))
        if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", pattern), request.url.path):
            found |= {method.upper() for method in methods}
    return ", ".join(sorted(found))


async def _of_validation(_: Request, error: Exception) -> JSONResponse:
    """Where the request was wrong, in the schema's own words: a field that the schema does not know is not repeated."""
    if not isinstance(error, RequestValidationError):
        return response_of(Problem(422, "http.invalid"))
    return response_of(Problem(422, "http.invalid", places=tuple(sorted({_place(entry) for entry in error.errors()}))))


def _place(entry: Mapping[str, object]) -> str:
    kind, place = entry.get("type"), entry.get("loc")
    if kind in ("extra_forbidden", "json_invalid") or not isinstance(place, tuple | list) or not place:
        return "body"
    return ".".join(str(part) for part in place if isinstance(part, str))


async def _of_medsr(_: Request, error: Exception) -> JSONResponse:
    problem = problem_of(error) if isinstance(error, MedsrError) else Problem(500, "http.internal")
    if problem.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("api.failed", code=problem.code)
    return response_of(problem)


async def _of_disk(_: Request, error: Exception) -> JSONResponse:
    import errno

    _log.error("api.disk", errno=getattr(error, "errno", None))
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return response_of(Problem(507, "store.full"))
    return response_of(Problem(500, "http.internal"))


async def _of_anything(_: Request, error: Exception) -> JSONResponse:
    _log.error("api.failed", kind=type(error).__name__)
    return response_of(Problem(500, "http.internal"))

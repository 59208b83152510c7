"""What stands before every route: headers for the browser, a body that keeps its pace, and who is asking.

Plain ASGI, since a wrapper that buffers would undo the streaming, and FastAPI reads a JSON body before any dependency:
nobody's body is read before their key is known.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from medsr.service.api.problem import Problem, response_of
from medsr.service.api.settings import ApiSettings

__all__ = ["Door", "Pages", "SteadyBody"]

API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"
"""Reports carry their style inside, so that they can be mailed; nothing in them may run."""

_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}

_log = structlog.get_logger(__name__)

Identify = Callable[[Scope], Awaitable[None]]


class Pages:
    """Security headers on every response; a route may set its own and keeps it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and dress the response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        started = time.monotonic()
        policy = PAGE_POLICY if scope["path"].startswith("/review") else API_POLICY

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", policy)
                headers["X-Request-Id"] = request_id
                _log.info(
                    "api.request",
                    request=request_id,
                    method=scope["method"] if scope["method"] in _METHODS else "other",
                    route=getattr(scope.get("route"), "path", "none"),
                    status=message["status"],
                    ms=round(1000 * (time.monotonic() - started), 1),
                )
            await send(message)

        await self.app(scope, receive, dressed)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class SteadyBody:
    """A body that arrives at its pace and within its size.

    Only time spent waiting for the client counts, so a slow disk here blames nobody. Uploads count their own bytes.
    """

    def __init__(self, app: ASGIApp, *, settings: ApiSettings, unbounded: tuple[str, ...]) -> None:
        self.app, self.settings, self.unbounded = app, settings, unbounded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with a receive that raises 408 or 413."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = None if scope["path"] in self.unbounded else self.settings.max_json_bytes
        declared = Headers(scope=scope).get("content-length", "0")
        if most is not None and declared.isdigit() and int(declared) > most:
            await response_of(Problem(413, "http.too_large"))(scope, receive, send)
            return
        await self.app(scope, _paced(receive, self.settings, most), send)


def _paced(receive: Receive, settings: ApiSettings, most: int | None) -> Receive:
    waited, taken, more = 0.0, 0, True

    async def steady() -> Message:
        nonlocal waited, taken, more
        if not more:
            return await receive()
        patience = settings.body_grace_s + taken / settings.body_bytes_per_s - waited
        started = time.monotonic()
        try:
            message = await asyncio.wait_for(receive(), max(patience, 0.001))
        except TimeoutError:
            raise Problem(408, "http.slow") from None
        waited += time.monotonic() - started
        taken += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
        if most is not None and taken > most:
            raise Problem(413, "http.too_large")
        return message

    return steady


class Door:
    """Asks who is there before anything else happens; the routes find the answer in the scope's state."""

    def __init__(self, app: ASGIApp, *, identify: Identify) -> None:
        self.app, self.identify = app, identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer with the problem."""
        if scope["type"] == "http":
            try:
                await self.identify(scope)
            except Problem as problem:
                await response_of(problem)(scope, receive, send)
                return
        await self.app(scope, receive, send)

"""uvicorn's HTTP protocol with the two limits it lacks: a deadline for the header and a cap per address.

Without them 300 sockets that send a byte now and then stay open for ever, and a limit on all connections shuts out
the honest ones with them.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from medsr.remedies import REMEDIES
from medsr.service.api.problem import MEDIA_TYPE
from medsr.service.api.settings import ApiSettings

__all__ = ["GuardedProtocol", "guarded"]


def _closing(status: str, code: str, more: str = "") -> bytes:
    """A whole response for a connection that no application sees."""
    number, _, title = status.partition(" ")
    problem = {"type": f"urn:medsr:{code}", "title": title, "status": int(number), "code": code}
    body = json.dumps({**problem, "detail": REMEDIES[code]}).encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {MEDIA_TYPE}\r\nConnection: close\r\n"
        f"{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class GuardedProtocol(H11Protocol):
    """One connection: its header is complete in time, or it is closed; too many of one address are not opened.

    Use :func:`guarded` for a class with the settings' figures; open counts are shared by all of its connections.
    """

    header_seconds = 10.0
    per_address = 64
    open_of: Counter[str]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._address: str | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Count the connection and start the clock of its first header."""
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if self.open_of[address] >= self.per_address:
            self.connections.discard(self)
            transport.write(_closing("503 Service Unavailable", "http.connections", "Retry-After: 5\r\n"))
            transport.close()
            return
        self._address = address
        self.open_of[address] += 1
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._header_complete()
        if self._address is not None:
            self.open_of[self._address] -= 1
            if self.open_of[self._address] <= 0:
                del self.open_of[self._address]
            self._address = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a header do not extend its deadline; a complete one ends it."""
        if self.transport.is_closing():
            return
        before: RequestResponseCycle | None = self.cycle
        idle = before is None or before.response_complete
        if idle and self._deadline is None:
            self._expect_header()
        super().data_received(data)
        if self.cycle is not before:
            self._header_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP in the form of every other error; uvicorn's message may not leave."""
        del msg
        self.transport.write(_closing("400 Bad Request", "http.malformed"))
        self.transport.close()

    def _expect_header(self) -> None:
        self._deadline = self.loop.call_later(self.header_seconds, self._too_late)

    def _header_complete(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.abort()


def guarded(settings: ApiSettings) -> type[GuardedProtocol]:
    """The protocol class for ``uvicorn.Config(http=...)`` under these settings."""
    members = {
        "header_seconds": settings.header_seconds,
        "per_address": settings.connections_per_address,
        "open_of": Counter(),
    }
    return cast("type[GuardedProtocol]", type("GuardedProtocol", (GuardedProtocol,), members))

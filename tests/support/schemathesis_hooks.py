"""How schemathesis writes the bodies that it does not know: as the bytes it drew."""

from __future__ import annotations

import schemathesis


@schemathesis.serializer("multipart/related")
def related(_context, value):
    """A study; its parts are tested by hand."""
    return value if isinstance(value, bytes) else str(value).encode()

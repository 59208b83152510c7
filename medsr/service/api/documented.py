"""Pieces of the OpenAPI document that many routes share."""

from __future__ import annotations

from typing import Any

from medsr.service.api.problem import MEDIA_TYPE
from medsr.service.api.schemas import ProblemOut

__all__ = ["BINARY_BODY", "DIGEST_PATTERN", "ID_PATTERN", "SHA_PATTERN", "binary", "location", "problems"]

ID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
SHA_PATTERN = r"^[0-9a-f]{64}$"
DIGEST_PATTERN = r"^[ -~]{1,2000}$"

_TITLES = {
    400: "The request is malformed.",
    401: "No key, or one that is unknown, expired or revoked.",
    403: "The key lacks the scope, or the deed is not allowed.",
    404: "There is no such thing, or it is somebody else's.",
    406: "Nothing here has the form that Accept wants.",
    408: "The body came too slowly.",
    409: "The state does not allow it.",
    410: "It was withdrawn or purged.",
    411: "A length is needed.",
    413: "The body is too large.",
    415: "The media type is not taken.",
    416: "There is no such range.",
    422: "The request cannot be processed.",
    428: "If-Match is needed.",
    429: "Too many; see Retry-After.",
    503: "Busy; see Retry-After.",
    507: "The disk is full.",
}

BINARY_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}},
            "application/gzip": {"schema": {"type": "string", "format": "binary", "minLength": 1}},
            "application/dicom": {"schema": {"type": "string", "format": "binary", "minLength": 1}},
            "application/zip": {"schema": {"type": "string", "format": "binary", "minLength": 1}},
        },
    }
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses of a route that are problems; those that every route may give are added."""
    return {
        status: {"description": _TITLES[status], "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
        for status in sorted({*statuses, 400, 401, 403, 422, 429, 503})
    }


_SCHEMA = {"$ref": f"#/components/schemas/{ProblemOut.__name__}"}


def location(what: str) -> dict[str, Any]:
    """The Location header of a response."""
    return {"headers": {"Location": {"description": what, "required": True, "schema": {"type": "string"}}}}


def binary(*media_types: str) -> dict[str, Any]:
    """A response of bytes."""
    plain: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
    return {"content": {name: {"schema": {}} if name == "application/json" else plain for name in media_types}}

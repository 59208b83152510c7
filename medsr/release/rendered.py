"""What the report room hands to release: documents as bytes, written beside the result and never changed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Rendered"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The documents of one result.

    Parameters
    ----------
    report_json : report.json, under the published schema.
    report_html : report.html, one self-contained file.
    sidecar : the BIDS-style sidecar of the restored image, with the gate's word.
    """

    report_json: bytes
    report_html: bytes
    sidecar: bytes

"""Text of strangers, made fit to be shown: cut, without control characters, on one line."""

from __future__ import annotations

import unicodedata

__all__ = ["shown"]

_LONGEST = 64


def shown(text: object, *, longest: int = _LONGEST) -> str:
    """`text` with control, format and unassigned characters replaced, and cut to `longest` characters.

    File names and header texts may hold line breaks that forge log lines, or marks that turn the reading
    direction. Markup is left alone: whoever writes HTML escapes it.
    """
    plain = str(text)[: 4 * longest]
    clean = "".join("?" if unicodedata.category(letter)[0] == "C" else letter for letter in plain).strip()
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"

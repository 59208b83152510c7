"""A card's sections: Markdown under second-level headings, which commands write anew without touching the others."""

from __future__ import annotations

import re

__all__ = ["put_section", "section_titles"]

ORDER = ("Training", "Defaults", "Figures", "Failures", "Memorisation", "Data and attribution", "Limits")
"""Where a new section goes: before the first one that stands later here; others stay where they are."""

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def put_section(card: str, title: str, body: str) -> str:
    r"""Replace the section of that title, or add it in its place; an empty body takes it away.

    >>> put_section("# x\n\nAbout.\n\n## Limits\n\nSome.\n", "Figures", "None.")
    '# x\n\nAbout.\n\n## Figures\n\nNone.\n\n## Limits\n\nSome.\n'
    """
    head, sections = _split(card)
    text = f"## {title}\n\n{body.strip()}" if body.strip() else ""
    if title in sections:
        sections[title] = text
    elif text:
        later = ORDER[ORDER.index(title) + 1 :] if title in ORDER else ()
        names = list(sections)
        place = next((names.index(name) for name in names if name in later), len(names))
        items = list(sections.items())
        sections = dict([*items[:place], (title, text), *items[place:]])
    return "\n\n".join(part for part in (head, *sections.values()) if part) + "\n"


def section_titles(card: str) -> list[str]:
    """Titles of a card's sections, in order."""
    return list(_split(card)[1])


def _split(card: str) -> tuple[str, dict[str, str]]:
    """What stands above the first section, and the sections by title."""
    found = list(_HEADING.finditer(card))
    ends = [*(match.start() for match in found[1:]), len(card)]
    head = card[: found[0].start()] if found else card
    return head.strip(), {
        match.group(1).strip(): card[match.start() : end].strip() for match, end in zip(found, ends, strict=True)
    }

"""Commands write their own section of a card and leave the others."""

from __future__ import annotations

from medsr.models.sections import put_section, section_titles

CARD = "# x 1.0\n\nAbout.\n\n## Training\n\nSeed.\n\n## Data and attribution\n\n- A (CC BY)\n\n## Limits\n\nSome.\n"


def test_a_section_goes_to_its_place_and_others_stay() -> None:
    text = put_section(put_section(CARD, "Memorisation", "None."), "Figures", "34 dB")
    assert section_titles(text) == ["Training", "Figures", "Memorisation", "Data and attribution", "Limits"]
    assert "- A (CC BY)" in text
    assert text.startswith("# x 1.0\n\nAbout.\n\n## Training\n\nSeed.\n")


def test_writing_twice_is_writing_once() -> None:
    once = put_section(CARD, "Figures", "34 dB")
    assert put_section(once, "Figures", "34 dB") == once
    assert put_section(once, "Figures", "") == CARD


def test_an_unknown_section_goes_to_the_end() -> None:
    assert section_titles(put_section(CARD, "Elsewhere", "x"))[-1] == "Elsewhere"

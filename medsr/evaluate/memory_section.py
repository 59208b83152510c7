"""The memorisation test as a section of the bundle's card, with a picture of the nearest pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from medsr.evaluate.memory import MemoryFigures, Pair
from medsr.models.bundle import Bundle
from medsr.models.catalogue import card
from medsr.models.sections import put_section
from medsr.report.png import png
from medsr.resources import write_bytes

__all__ = ["PICTURE", "memory_section", "write_memory"]

PICTURE = "memorisation.png"
_ZOOM, _GAP = 2, 2


def write_memory(bundle: Bundle, figures: MemoryFigures, *, printed: str) -> Path:
    """Put the section into the card and the picture beside it; returns the card's path. The bundle's hash stays."""
    folder = bundle.folder / "docs"
    write_bytes(folder / PICTURE, pairs_png(figures.pairs))
    text = put_section(card(bundle), "Memorisation", memory_section(figures, printed=printed))
    write_bytes(folder / "README.md", text.encode())
    return folder / "README.md"


def memory_section(figures: MemoryFigures, *, printed: str) -> str:
    """The result in words, its figures, and the ten nearest pairs."""
    outcome = (
        "**It comes nearer to its training scans than the anatomy does: look at the pairs.**"
        if figures.suspicious
        else "No sign of memorisation: it comes no nearer to its training scans than real anatomy does."
    )
    trained, kept_out, fresh = figures.subjects
    supplied = f"{figures.train:.3f} | {figures.held_out:.3f} | {figures.lean:+.4f} | {figures.p:.2g}"
    there = f"{figures.true_train:.3f} | {figures.true_held_out:.3f} | {figures.true_lean:+.4f} | {figures.true_p:.2g}"
    lines = [
        f"{outcome} {figures.patches} patches of 32 x 32 px of what was supplied (x - A+ A x) in scans of {fresh}",
        f"other people, each beside its nearest neighbour at {figures.places[0]} places of {trained} training subjects",
        f"and {figures.places[1]} places of {kept_out} held-out ones. Patches of one scan are not independent, so p is",
        "rather too small. A patch is searched in one of the eight orientations that training shows.",
        "",
        "| patches | median correlation, training | held out | mean difference | one-sided KS, p |",
        "|---|---|---|---|---|",
        f"| supplied | {supplied} |",
        f"| truly there | {there} |",
        "",
        f"![supplied patches above, nearest training patches below]({PICTURE})",
        "",
        "| level | restored | nearest training scan | correlation | nearest held-out |",
        "|---|---|---|---|---|",
        *(
            f"| {pair.level} | {pair.restored} | {pair.training} | {pair.correlation:.3f} | {pair.held_out:.3f} |"
            for pair in figures.pairs
        ),
        "",
        printed,
    ]
    return "\n".join(lines)


def pairs_png(pairs: tuple[Pair, ...]) -> bytes:
    """Supplied patches in the upper row, their neighbours in the lower one, each between -3 and 3 of its own sd."""
    columns = [np.vstack([_tile(pair.supplied), _tile(pair.neighbour)]) for pair in pairs]
    return png(np.hstack(columns))


def _tile(patch: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    centred = patch - patch.mean()
    grey = np.clip(127.5 + centred / max(float(centred.std()), 1e-12) * 42.5, 0, 255).astype(np.uint8)
    tile: npt.NDArray[np.uint8] = np.pad(grey.repeat(_ZOOM, 0).repeat(_ZOOM, 1), _GAP, constant_values=255)
    return tile

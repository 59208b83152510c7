"""Print what was tried for missed bars (docs/tried.md), or keep an evaluation's rows to compare later ones with.

python tools/tried.py                                        print docs/tried.md from docs/tried/trials.toml
python tools/tried.py keep docs/evaluation-mri.json mri-1.1  keep the bundles' rows as docs/tried/mri-1.1.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from medsr.evaluate.tables import provenance_line
from medsr.evaluate.tried import kept, read_rows, read_trials, tried

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "tried"


def main() -> None:
    """Keep, or print."""
    if sys.argv[1:2] == ["keep"] and len(sys.argv) == 4:
        path = FOLDER / f"{sys.argv[3]}.json"
        path.write_bytes(kept(Path(sys.argv[2])))
        print(path.relative_to(ROOT))
        return
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    documents = {name: read_rows(ROOT / "docs" / f"evaluation-{name}.json") for name in ("mri", "ct")}
    text = tried(documents, read_trials(FOLDER / "trials.toml", ROOT))
    page = ROOT / "docs" / "tried.md"
    page.write_text(f"{text}\n{provenance_line('python tools/tried.py')}\n", encoding="utf-8")
    print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()

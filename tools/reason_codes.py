"""Write docs/reason-codes.md from the one table of remedies.

python tools/reason_codes.py            write the page
python tools/reason_codes.py --check    exit 1 if the page is not what would be written
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from medsr.remedies import REMEDIES

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reason-codes.md"

HEAD = """# Reason codes

Everything medsr refuses has a code, `room.fact`, that never changes its meaning: on the command line in brackets, in
report.json and over REST as `code`. Written by `python tools/reason_codes.py` from `medsr/remedies.py`.
"""


def page() -> str:
    """The page: one table for each prefix."""
    parts = [HEAD]
    for prefix, codes in groupby(sorted(REMEDIES), key=lambda code: code.split(".")[0]):
        rows = "\n".join(f"| `{code}` | {REMEDIES[code].replace('|', chr(92) + '|')} |" for code in codes)
        parts.append(f"## {prefix}\n\n| code | what to do |\n| --- | --- |\n{rows}\n")
    return "\n".join(parts)


def main() -> int:
    """Write or check the page."""
    if "--check" in sys.argv[1:]:
        return int(not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

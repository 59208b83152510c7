"""Print the requirements of medsr with the named extras, one a line, without medsr itself."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def main() -> None:
    """Extras may name each other as medsr[extra]."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    extras, seen = list(sys.argv[1:]), set()
    lines = list(project["dependencies"])
    while extras:
        extra = extras.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for line in project["optional-dependencies"][extra]:
            if line.startswith("medsr["):
                extras += line.removeprefix("medsr[").removesuffix("]").split(",")
            else:
                lines.append(line)
    lines += tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["build-system"]["requires"]
    print("\n".join(sorted(set(lines))))


if __name__ == "__main__":
    main()

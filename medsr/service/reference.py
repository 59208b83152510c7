"""docs/configuration.md from the settings classes: ``python -m medsr.service.reference > docs/configuration.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from medsr.service.settings import ServiceSettings
from medsr.settings import Settings

__all__ = ["document"]

_HEAD = """# Configuration

`medsr serve` needs none. Whoever wants other values gives them in one TOML file (`medsr serve --config FILE`, or
`MEDSR_CONFIG`), as `MEDSR_*` variables, which win over the file, or as options of the command, which win over both.
A key that is not known is named and refused. `medsr serve --print-config` prints every key as it stands.

This page is made by `python -m medsr.service.reference > docs/configuration.md`; a test holds it to the code.
"""


def document() -> str:
    """The page as Markdown."""
    service = dict(ServiceSettings.model_fields)
    limits = {name: field for name, field in Settings.model_fields.items() if name not in service}
    parts = [
        _HEAD,
        "## The service\n",
        *_table(service),
        "\n## Limits of reading\n\nThey hold for the command line too, as variables.\n",
        *_table(limits),
    ]
    return "\n".join(parts) + "\n"


def _table(fields: dict[str, FieldInfo]) -> Iterator[str]:
    yield "| key | variable | default | what |"
    yield "| --- | --- | --- | --- |"
    for name, field in fields.items():
        words = (field.description or "").replace("|", "\\|")
        yield f"| `{name}` | `MEDSR_{name.upper()}` | {_default(field.default)} | {words} |"


def _default(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 1 << 20 and value % (1 << 20) == 0:
        return f"`{value}` ({value >> 20} Mi)"
    return f"`{value}`" if isinstance(value, (str, Path, int, float)) and str(value) else "empty"


if __name__ == "__main__":
    sys.stdout.write(document())

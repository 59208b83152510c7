"""docs/report.md, made from the models: ``python -m medsr.report.reference > docs/report.md``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, cast

from medsr.report.channels import STATUS_TITLES, channel_title
from medsr.report.document import SCHEMA, Report
from medsr.report.words import DISCLAIMERS, FINDING_TITLES, WORD_TITLES

__all__ = ["reference_bytes"]

_CHANNELS = ("R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "N1", "N2", "N3", "N4", "N5")
_COMPARED = tuple(f"F{number}" for number in range(11))

_OPENING = f"""# The report of a result

`python -m medsr.report.reference > docs/report.md` prints this page; a test holds the two equal.

Every result comes with three documents. They carry the gate's word and never a reader's decision, which stands in
`release.json`, so that held and released files are the same bytes.

| file | for whom |
|---|---|
| `report.html` | a reader of images: one file, nothing fetched, no script |
| `report.json` | programs: schema `{SCHEMA}`, `docs/report-schema.json` (`python -m medsr.report.schema`) |
| `scan_restored.json` | whoever opens the image: a BIDS-style sidecar |

The same restoration, judgement and verdict give the same bytes; only `timings` differ from run to run. Names are
stable: a field that changes its meaning gets a new name, and the schema a new number. Numbers that are not finite are
written as `null`. Of the scan, only its file name and hash are told, never text from its header.

## How report.html is to be read

On top stand the gate's word and its reason in one sentence. There is no better word than "no contradiction found", and
`UNVERIFIED` stands beside it wherever no calibration record backs it.

- Slices are turned the radiological way, from the affine: axial and coronal with the patient's right on the left,
  sagittal with anterior on the left; anterior or superior on top. Letters at the rim name the directions.
- Input and restored image share one window. CT: soft tissue (level 40, width 400 HU), or lung (-600, 1500) where most
  of the slice, or of what surrounds the clearest finding in it, is lung. MR: 0 to the 99.5th percentile of the slice.
- The input is shown on the restored grid by nearest neighbour, so its true pixels are seen.
- Difference: restored minus input (denoising), or restored minus A⁺y, the image that holds the measurement and
  nothing else (super-resolution in plane). The page says which. Orange: restored is brighter; blue: darker.
- Contradicted: how far image and scan differ, in noise deviations; grey where nothing was judged.
- Measured or supplied: local strength of detail that no measurement stands behind. Where everything was measured,
  there is no such map.
- Boxes are solid for added, dashed for omitted; label and table give the size of the disc that fits best.

## report.json

`null` in a type means that the value may be absent."""

_SIDECAR = """## scan_restored.json

| field | meaning |
|---|---|
| `Description` | task, file, model and the gate's sentence |
| `Sources`, `SourcesSha256` | file name of the scan, and its hash |
| `Modality`, `Units` | CT in HU, or MR in arbitrary units |
| `SkullStripped` | always false: nothing is cut away |
| `SyntheticData` | in a sentence, what a model made of this image |
| `SyntheticSlices` | indices along the slice axis, from 0, that were never measured |
| `Task`, `Method`, `Bundle` | what was asked for, and the weights with name, version and hash |
| `Gate`, `GateReasons`, `GateSentence`, `GatePolicy` | the gate's word, as in report.json |
| `Label` | `UNVERIFIED` where no calibration record stands behind the word |
| `Disclaimer` | to be shown with the image |
| `GeneratedBy` | program and version |

No field is called `operator`: beside a scan, that name declares how the scan was degraded."""


def reference_bytes() -> bytes:
    """The page as UTF-8 Markdown."""
    schema = Report.model_json_schema(by_alias=True, mode="serialization")
    parts = [_OPENING, _table(schema)]
    for name, definition in sorted(cast("Mapping[str, Mapping[str, object]]", schema["$defs"]).items()):
        if "properties" in definition:
            parts += [f"### {name}", str(definition["description"]), _table(definition)]
    parts += [
        _SIDECAR,
        "## Words",
        _pairs("word", "as shown", WORD_TITLES),
        _pairs("type", "as shown", FINDING_TITLES),
        _pairs("status", "as shown", STATUS_TITLES),
        _pairs("channel", "what it asks", {name: channel_title(name) for name in (*_CHANNELS, *_COMPARED)}),
        "A `w` behind a channel's name means the same on the written pixels, after projection and rounding.",
        "## Disclaimers",
        "\n".join(f"- {sentence}" for sentence in DISCLAIMERS),
    ]
    return "\n\n".join(parts).encode() + b"\n"


def _table(definition: Mapping[str, object]) -> str:
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for name, entry in cast("Mapping[str, Mapping[str, object]]", definition["properties"]).items():
        meaning = str(entry.get("description", "")).replace("|", "\\|")
        lines.append(f"| `{name}` | {_type(entry)} | {meaning} |")
    return "\n".join(lines)


def _type(entry: Mapping[str, object]) -> str:
    if "$ref" in entry:
        name = str(entry["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in entry:
        return " or ".join(_type(option) for option in cast("list[Mapping[str, object]]", entry["anyOf"]))
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in cast("list[object]", entry["enum"]))
    if entry.get("type") == "array" and "prefixItems" in entry:
        return f"[{', '.join(_type(item) for item in cast('list[Mapping[str, object]]', entry['prefixItems']))}]"
    if entry.get("type") == "array":
        return f"list of {_type(cast('Mapping[str, object]', entry['items']))}"
    return str(entry.get("type", "any"))


def _pairs(left: str, right: str, pairs: Mapping[Any, str]) -> str:
    return "\n".join(
        [f"| {left} | {right} |", "|---|---|", *(f"| `{name}` | {value} |" for name, value in pairs.items())]
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(reference_bytes())

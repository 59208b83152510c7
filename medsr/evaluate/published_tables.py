"""The tables of the published GAN outputs, as Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medsr.evaluate.tables import provenance_line
from medsr.resources import write_bytes
from medsr.validation.intervals import clopper_pearson

if TYPE_CHECKING:
    from medsr.evaluate.alarms import Alarm
    from medsr.evaluate.published import Published

__all__ = ["written"]

_COUNTED = {("sharp", "srgan"): 21, ("sharp", "srwgan"): 22, ("smooth", "srgan"): 16, ("smooth", "srwgan"): 17}
"""Flagged tiles that the authors state."""


def written(found: Published, output: Path | None, *, command: str) -> str:
    """The Markdown; also written to `output`, with the JSON beside it, where a file is named."""
    text = _markdown(found, command=command)
    if output is not None:
        record = {"command": command, "provenance": provenance_line(command), **found.record()}
        write_bytes(output, text.encode())
        write_bytes(output.with_suffix(".json"), (json.dumps(record, indent=1) + "\n").encode())
    return text


def _markdown(found: Published, *, command: str) -> str:
    caught = sum(item.word in ("review", "rejected") for item in found.verdicts)
    parts = [
        "# Published GAN outputs before the gate",
        provenance_line(command),
        (
            "Fourfold CT super-resolution by SRGAN and SR-WGAN as their users published it (DIDSR/sfrc, MIT), five "
            "slices of one patient under two kernels, each judged alone as `medsr validate` receives it: no operator, "
            "no estimate before projection, policy research."
        ),
        f"## Verdicts: {caught} of {len(found.verdicts)} held or rejected (V5)",
        _table(
            ("kernel", "network", "slice", "findings", "RMSE HU", "projected", "gain dB", "the gate's sentence"),
            [
                (
                    item.kernel, item.network, str(item.slice_number), str(item.findings), f"{item.rmse_hu:.1f}",
                    f"{item.projected_rmse_hu:.1f}", f"{item.gain_db:.2f}", item.sentence,
                )
                for item in found.verdicts
            ],
        ),
        "## Projection onto the input (V5)",
        _gains(found),
        "## Alarm before projection (V5)",
        (
            "Discs of 8 px and CNR 2 (against the reference's noise), both signs, planted one at a time into the image "
            "before projection. An alarm counts at the place and with the right sign. Limits: 5.4 noise sd, with the "
            "noise that the restoration states or with what its residual leaves room for; or the smallest limit of 6 "
            "or more of the latter with at most one flag a slice on the other four slices. Flags are of the untouched "
            "slices."
        ),
        _table(
            ("kernel", "image", "limit", "alarms", "share", "95 %", "flags a slice"),
            [row for item in found.alarms for row in _alarm_rows(item)],
        ),
        "## sFRC (V11)",
        _table(
            ("kernel", "network", "flagged, as published", "by slice", "authors", "true window, half overlap"),
            [
                (
                    item.kernel, item.network, str(sum(item.published)), " ".join(map(str, item.published)),
                    str(_COUNTED[item.kernel, item.network]), str(sum(item.corrected)),
                )
                for item in found.tiles
            ],
        ),
        (
            f"The published form took {found.sfrc_seconds:.1f} s of CPU for 20 pairs (aim: 2 s); all channels with a "
            f"reference took {found.reference_cpu_seconds:.2f} s of CPU a slice of 512 x 512 (aim: .5 s)."
        ),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _gains(found: Published) -> str:
    rows = []
    for kernel, network in dict.fromkeys((item.kernel, item.network) for item in found.verdicts):
        gains = [item.gain_db for item in found.verdicts if (item.kernel, item.network) == (kernel, network)]
        mean = sum(gains) / len(gains)
        rows.append((kernel, network, f"{mean:.2f}", f"{min(gains):.2f} to {max(gains):.2f}", str(len(gains))))
    return _table(("kernel", "network", "gain dB", "of single slices", "n"), rows)


def _alarm_rows(item: Alarm) -> list[tuple[str, ...]]:
    limits = (
        ("5.4, stated noise", item.stated_hits, item.stated_flags),
        ("5.4, noise of the residual", item.hits, item.flags),
        (
            f"from the other slices ({min(item.learned):g} to {max(item.learned):g})",
            item.learned_hits,
            item.learned_flags,
        ),
    )
    rows: list[tuple[str, ...]] = []
    for name, hits, flags in limits:
        low, high = clopper_pearson(hits, item.planted)
        rows.append(
            (
                item.kernel, item.network, name, f"{hits} of {item.planted}", f"{100 * hits / item.planted:.0f} %",
                f"{100 * low:.0f} to {100 * high:.0f} %", f"{flags / item.slices:.1f}",
            )
        )  # fmt: skip
    return rows


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(
        [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(row)} |" for row in rows)]
    )

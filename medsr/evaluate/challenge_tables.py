"""The challenge as Markdown: how often planted lesions are found, and how often clean twins are accused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medsr.evaluate.challenge import Challenge
from medsr.evaluate.challenge_goals import shares_table
from medsr.evaluate.tables import provenance_line
from medsr.validation.challenge import Outcome, Twin
from medsr.validation.intervals import clopper_pearson, cluster_bootstrap, poisson_interval

__all__ = ["challenge_markdown", "found_cells", "rate_cells"]


def challenge_markdown(challenge: Challenge, *, source: str, command: str) -> str:
    """All tables of one challenge."""
    lines = [f"# Challenge of the gate on {source}", "", provenance_line(command)]
    lines += [f"- {modality}: bundle {name}" for modality, name in challenge.bundles.items()]
    lines += ["", "## Lesions found at their place with the right sign", "", *_found_table(challenge.outcomes)]
    lines += ["", "## Findings on clean twins", "", *_twin_table(challenge.twins)]
    lines += ["", "## By scan", "", *_scan_table(challenge)]
    if challenge.trials:
        lines += ["", "## Other arms", "", *shares_table(challenge.trials)]
    if challenge.left_out:
        lines += ["", "## Left out", "", *[f"- {line}" for line in challenge.left_out]]
    return "\n".join(lines)


def found_cells(outcomes: Sequence[Outcome]) -> list[str]:
    """Found of all, in per cent, with the exact interval of places and the bootstrap of subjects."""
    hits, count = sum(item.found for item in outcomes), len(outcomes)
    low, high = clopper_pearson(hits, count)
    clusters: dict[str, list[tuple[float, float]]] = {}
    for item in outcomes:
        clusters.setdefault(item.subject, []).append((float(item.found), 1.0))
    first, last = cluster_bootstrap(clusters)
    share = 100 * hits / count if count else float("nan")
    return [
        f"{hits} of {count}",
        f"{share:.0f} %",
        f"{100 * low:.0f} to {100 * high:.0f} %",
        f"{100 * first:.0f} to {100 * last:.0f} %",
        str(len(clusters)),
    ]


def rate_cells(twins: Sequence[Twin]) -> list[str]:
    """Findings a slice with the wider of the exact Poisson interval and the bootstrap of subjects."""
    findings, slices = sum(item.findings for item in twins), sum(item.slices for item in twins)
    low, high = poisson_interval(findings, slices)
    clusters: dict[str, list[tuple[float, float]]] = {}
    for item in twins:
        clusters.setdefault(item.subject, []).append((float(item.findings), float(item.slices)))
    first, last = cluster_bootstrap(clusters)
    held = sum(bool(item.held) for item in twins)
    return [
        str(findings),
        str(slices),
        f"{findings / slices:.2f}",
        f"{min(low, first):.2f} to {max(high, last):.2f}",
        f"{held} of {len(twins)}",
        str(len(clusters)),
    ]


def _found_table(outcomes: Sequence[Outcome]) -> list[str]:
    head = "| modality | level | arm | d' | found | share | 95 % of places | 95 % of subjects | subjects |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    keys = dict.fromkeys((item.modality, item.level, item.arm, item.dprime) for item in outcomes)
    for modality, level, arm, dprime in keys:
        chosen = [o for o in outcomes if (o.modality, o.level, o.arm, o.dprime) == (modality, level, arm, dprime)]
        lines.append(_row([modality, level, arm, f"{dprime:g}", *found_cells(chosen)]))
    for modality, dprime in dict.fromkeys((item.modality, item.dprime) for item in outcomes):
        chosen = [o for o in outcomes if (o.modality, o.dprime) == (modality, dprime)]
        lines.append(_row([modality, "all levels", "both arms", f"{dprime:g}", *found_cells(chosen)]))
        for sign, word in ((1, "too bright"), (-1, "too dark")):
            signed = [item for item in chosen if item.sign == sign]
            lines.append(_row([modality, "all levels", f"image {word}", f"{dprime:g}", *found_cells(signed)]))
    return lines


def _twin_table(twins: Sequence[Twin]) -> list[str]:
    head = "| modality | level | findings | slices | a slice | 95 % | held | subjects |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for modality, level in dict.fromkeys((item.modality, item.level) for item in twins):
        lines.append(_row([modality, level, *rate_cells([t for t in twins if t.level == level])]))
    modalities = dict.fromkeys(item.modality for item in twins)
    pooled = {modality: [twin for twin in twins if twin.modality == modality] for modality in modalities}
    return lines + [_row([modality, "all levels", *rate_cells(chosen)]) for modality, chosen in pooled.items()]


def _scan_table(challenge: Challenge) -> list[str]:
    lines = ["| scan | level | found | findings on the clean twin | slices | held |", "|---|---|---|---|---|---|"]
    for twin in challenge.twins:
        mine = [o for o in challenge.outcomes if (o.scan, o.level) == (twin.scan, twin.level)]
        found = f"{sum(item.found for item in mine)} of {len(mine)}"
        lines.append(_row([twin.scan, twin.level, found, str(twin.findings), str(twin.slices), twin.held or "none"]))
    return lines


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"

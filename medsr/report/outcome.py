"""What the gate's channels say together: of the image as a whole, and without the calibration they lack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medsr.records import ChannelKind, ChannelResult, Verdict, Word

__all__ = ["alone_word", "alone_words", "as_a_whole", "channel_clause", "domain_words"]

_WHOLE = ("contradicts.whole", "findings.many")
_ORDER = ("R3", "R3w", "R1", "R1w", "R8", "R2", "R2w", "R7", "R7w", "R9")
"""Whose clause is said first: what explains most, then what is seen place by place."""
_DOMAIN = "N4"
_ALONE: dict[Word, str] = {
    "released": "would have released this result: none of them is beyond its limit",
    "review": "would have held this result",
    "rejected": "would have rejected this result",
}


def as_a_whole(reasons: Iterable[str]) -> bool:
    """True where so much departs from the scan that single places mean nothing: they are counted and not boxed."""
    return any(reason in _WHOLE for reason in reasons)


def channel_clause(channels: Sequence[ChannelResult], kind: ChannelKind) -> str:
    """The clause of the channel that explains most of what failed; empty where none has one."""
    failing = [item for item in channels if item.kind == kind and item.status == "held" and item.words]
    order = {name: place for place, name in enumerate(_ORDER)}
    failing.sort(key=lambda item: order.get(item.name, len(order)))
    if failing:
        return failing[0].words
    strange = [item for item in channels if item.kind == kind and item.name == _DOMAIN and item.status == "held"]
    return domain_words(strange).removesuffix(".").replace("The", "the", 1) if strange else ""


def alone_word(verdict: Verdict) -> Word | None:
    """What the channels alone would have decided; None where a calibration record took part, or nothing was judged."""
    if "uncalibrated" not in verdict.reasons:
        return None
    if verdict.word == "review" and set(verdict.reasons) == {"uncalibrated"}:
        return "released"
    return verdict.word


def alone_words(verdict: Verdict) -> str:
    """The same as a sentence; empty where there is nothing to tell."""
    word = alone_word(verdict)
    return f"The channels alone, by their fixed limits, {_ALONE[word]}." if word in _ALONE else ""


def domain_words(channels: Iterable[ChannelResult]) -> str:
    """What N4 says of the scan and the model's domain, as a sentence."""
    found = next((item for item in channels if item.name == _DOMAIN), None)
    if found is None or found.status == "not_assessed":
        return "Whether the model was made for scans like this one is not known."
    if found.status == "held":
        return f"The scan is unlike those that the model was made for: {found.note}."
    return "The scan is of the kind that the model was made for."

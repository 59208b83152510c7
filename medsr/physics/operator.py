"""The degradation operator of a scan: a linear map, its noise, and how both are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from medsr.errors import Refusal
from medsr.physics.linear import OPERATORS, LinearOperator
from medsr.physics.noise import NoiseModel, noise_from_record

__all__ = ["Operator", "OperatorProvenance"]

OperatorProvenance = Literal["declared", "header", "estimated"]


@dataclass(frozen=True, slots=True)
class Operator:
    """y = A x + n: `linear` is A, `noise` is n, `provenance` tells who says so.

    It serialises to a small dict, which `degrade` writes as a sidecar and which restore, validate and the
    report carry unchanged.
    """

    linear: LinearOperator
    noise: NoiseModel
    provenance: OperatorProvenance

    def to_record(self) -> dict[str, object]:
        """The operator as JSON values."""
        return {
            "kind": self.linear.kind,
            "parameters": dict(self.linear.parameters()),
            "noise": self.noise.to_record(),
            "provenance": self.provenance,
        }

    @classmethod
    def from_record(
        cls,
        record: Mapping[str, object],
        *,
        provenance: OperatorProvenance | None = None,
    ) -> Operator:
        """Build an operator from its record.

        Raises
        ------
        Refusal : ``operator.unknown`` for a kind that is not registered, ``operator.parameter`` for bad values,
            ``noise.unknown`` and ``noise.parameter`` for its noise.
        """
        kind = record.get("kind")
        if not isinstance(kind, str) or kind not in OPERATORS:
            raise Refusal(
                "operator.unknown",
                f"operator kind {str(kind)[:40]!r} is not one of {sorted(OPERATORS)}",
            )
        parameters = record.get("parameters")
        if not isinstance(parameters, Mapping):
            raise Refusal("operator.parameter", "the operator record has no parameters")
        try:
            linear = OPERATORS[kind](**{str(name): _frozen(value) for name, value in parameters.items()})
        except TypeError as error:
            raise Refusal("operator.parameter", f"operator {kind}: its parameters do not fit") from error
        noise = record.get("noise", {})
        if not isinstance(noise, Mapping):
            raise Refusal("noise.parameter", "the operator's noise is not a record")
        return cls(linear, noise_from_record(noise), provenance or _stated(record.get("provenance")))


def _stated(provenance: object) -> OperatorProvenance:
    """The record's own word; a record without one was written by somebody who declares it."""
    if provenance == "header":
        return "header"
    return "estimated" if provenance == "estimated" else "declared"


def _frozen(value: object) -> object:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value

"""Values as JSON and arrays, and back: closed, without pickle, so that a damaged file is a refusal and never code.

Scalars stand for themselves; everything else is an object of one key that names its kind: ``tuple``, ``list``,
``map``, ``array`` (a name in the npz file), ``bytes`` (base64), ``operator`` (its own record) or one of the nouns below
with its fields. A field that a noun gains travels by itself; a kind that is not listed is an error when it is written.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from medsr.io.sources import DicomSource, NiftiSource, SourceSlice
from medsr.physics import Operator
from medsr.records import HiddenSlice, ModelIdentity, NoiseLevel, ProbeDisc, Restoration, SecondFamily
from medsr.volume import Acquisition, Geometry, Source, Volume

__all__ = ["NOUNS", "decoded", "encoded"]

NOUNS: Mapping[str, type] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            Acquisition,
            DicomSource,
            Geometry,
            HiddenSlice,
            ModelIdentity,
            NiftiSource,
            NoiseLevel,
            ProbeDisc,
            Restoration,
            SecondFamily,
            Source,
            SourceSlice,
            Volume,
        )
    }
)
"""The nouns that a Restoration is made of."""

Arrays = dict[str, npt.NDArray[np.generic]]


def encoded(value: object, arrays: Arrays) -> object:
    """A value as JSON; its arrays are put into `arrays` under names of their own.

    Raises
    ------
    TypeError : for a kind that does not travel.
    """
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        return {"array": _named(value, arrays)}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, (tuple, list)):
        return {"tuple" if isinstance(value, tuple) else "list": [encoded(item, arrays) for item in value]}
    if isinstance(value, Mapping):
        return {"map": [[encoded(key, arrays), encoded(item, arrays)] for key, item in value.items()]}
    if isinstance(value, Operator):
        return {"operator": encoded(value.to_record(), arrays)}
    if type(value) is NOUNS.get(type(value).__name__):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]  # every noun is a dataclass
        return {type(value).__name__: {item.name: encoded(getattr(value, item.name), arrays) for item in fields}}
    raise TypeError(f"a {type(value).__name__} does not travel")


def decoded(value: object, arrays: Mapping[str, npt.NDArray[np.generic]]) -> object:
    """The value that :func:`encoded` wrote; nouns check themselves when made.

    Raises
    ------
    KeyError, TypeError, ValueError, MedsrError : if it is not what :func:`encoded` writes.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if not isinstance(value, dict) or len(value) != 1:
        raise TypeError("neither a scalar nor one kind")
    ((kind, content),) = value.items()
    maker = _MAKERS.get(kind)
    if maker is not None:
        return maker(content, arrays)
    return NOUNS[kind](**{name: decoded(item, arrays) for name, item in content.items()})


def _named(value: npt.NDArray[np.generic], arrays: Arrays) -> str:
    """One name for an array however often it stands in a value, so that identity survives and no byte is kept twice."""
    for name, known in arrays.items():
        if known is value:
            return name
    if value.dtype.hasobject:
        raise TypeError("an array of objects does not travel")
    name = f"a{len(arrays)}"
    arrays[name] = value
    return name


def _operator(content: object, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Operator:
    record = decoded(content, arrays)
    if not isinstance(record, Mapping):
        raise TypeError("an operator without a record")
    return Operator.from_record(record)


_Maker = Callable[..., object]
_MAKERS: Mapping[str, _Maker] = MappingProxyType(
    {
        "array": lambda content, arrays: arrays[content],
        "bytes": lambda content, _: base64.b64decode(content, validate=True),
        "tuple": lambda content, arrays: tuple(decoded(item, arrays) for item in content),
        "list": lambda content, arrays: [decoded(item, arrays) for item in content],
        "map": lambda content, arrays: {decoded(key, arrays): decoded(item, arrays) for key, item in content},
        "operator": _operator,
    }
)

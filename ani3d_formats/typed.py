"""Frozen dataclasses out of JSON, each entry checked against its type and its rules, so that nobody checks it again.

    @dataclass(frozen=True)
    class Picture:
        width: Annotated[int, between(1, 65536)]
        kind: Annotated[str, one_of("still", "moving")] = "still"

    from_json(Picture, {"width": 0}, "picture")  # Refused: picture.width is 0; expected 1 to 65536

Types: bool, int, float (finite), str, nested dataclasses, dict of plain JSON, and tuples of these.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no file and no message can hold
_NAMES = {bool: "true or false", int: "a whole number", float: "a finite number", str: "text", dict: "a map"}


class Refused(ValueError):
    """An entry that is not what its dataclass says; the message begins with the entry's place."""


class Rule(NamedTuple):
    """What must hold for a value, and in words what was expected."""

    holds: Callable[[Any], bool]
    expected: str


def between(least: float, most: float) -> Rule:
    """A number from `least` to `most`, both allowed."""
    return Rule(lambda value: least <= value <= most, f"{least} to {most}")


def one_of(*words: Any) -> Rule:
    """One of these values."""
    return Rule(lambda value: value in words, " or ".join(map(repr, words)))


POSITIVE = Rule(lambda value: value > 0, "more than 0")
FILLED = Rule(lambda value: len(value) > 0, "at least one")


def from_json(cls: type[T], data: Any, place: str) -> T:
    """An instance of the dataclass `cls` from a map; `place` is its name in messages.

    Raises:
        Refused: naming the entry: missing, unknown, of another type, or against its rule.
    """
    if not isinstance(data, dict):
        raise _refused(place, data, "a map")
    hints, known = get_type_hints(cls, include_extras=True), {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    if unknown := [name for name in data if name not in known]:
        raise Refused(f"{place} has the entry {_shown(unknown[0])}, which is unknown")
    values: dict[str, Any] = {}
    for name, own in known.items():
        where = f"{place}.{name}"
        if name not in data:
            if own.default is MISSING and own.default_factory is MISSING:
                raise Refused(f"{where} is missing")
            continue
        values[name] = _checked(hints[name], data[name], where)
    return cls(**values)


def _checked(hint: Any, value: Any, place: str) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        checked = _checked(parts[0], value, place)
        for rule in parts[1:]:
            if not rule.holds(checked):
                raise _refused(place, value, rule.expected)
        return checked
    if is_dataclass(hint):
        return from_json(hint, value, place)  # type: ignore[arg-type]
    if origin is tuple:
        return _checked_tuple(parts, value, place)
    plain = origin or hint
    if plain is float and type(value) in (int, float):
        number = float(value) if abs(value) < 1e300 else math.inf  # whole numbers may be larger than any float
        if math.isfinite(number):
            return number
    elif type(value) is plain and not (plain is str and _SURROGATE.search(value)):
        return value
    raise _refused(place, value, _NAMES[plain])


def _checked_tuple(parts: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _refused(place, value, "a list")
    if parts[-1] is not Ellipsis and len(value) != len(parts):
        raise _refused(place, value, f"{len(parts)} entries")
    kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
    return tuple(_checked(kind, v, f"{place}[{i}]") for i, (kind, v) in enumerate(zip(kinds, value, strict=True)))


def _refused(place: str, value: Any, expected: str) -> Refused:
    return Refused(f"{place} is {_shown(value)}; expected {expected}")


def _shown(value: Any) -> str:
    text = ascii(value) if isinstance(value, str) else type(value).__name__
    if isinstance(value, bool | int | float | type(None)):
        text = str(value) if not isinstance(value, int) or abs(value) < 1e20 else "a huge number"
    return text if len(text) <= 80 else f"{text[:77]}..."

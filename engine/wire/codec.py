"""Messages to frames and back: one msgpack header, then one raw frame per array, in the table's order.

Header: a map {"protocol": int, "kind": str, "request": int, "body": map, "arrays": [[name, dtype, shape], ...]}.
"protocol", "kind" and "request" keep their place in every version, so that two ends of different versions
can still say so. Nothing here trusts its input: whatever is wrong comes out as one `Ani3DError`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgpack
import numpy as np

from ani3d_formats.errors import Ani3DError

from . import messages as m
from .dtypes import travels

Part = bytes | memoryview  # one frame of a multipart message

_HEADER_KEYS = {"protocol", "kind", "request", "body", "arrays"}
_PLAIN = {bool, int, float, str, dict, type(None)}  # what msgpack holds as it is
Check = Callable[[Any, str, dict[str, np.ndarray]], Any]  # a value, its place and the arrays; what is taken of them


class _Entry(NamedTuple):
    """A field of a message or a record."""

    name: str
    check: Check | None  # None for arrays
    many: bool  # of arrays: a map of them
    optional: bool


@dataclasses.dataclass(frozen=True)
class Header:
    """The first frame, checked as far as it can be without knowing the kind."""

    kind: str
    request: int
    body: dict[str, Any]
    arrays: list[tuple[str, np.dtype, tuple[int, ...]]]


def malformed_error(text: str) -> Ani3DError:
    """The `protocol.malformed` error for whatever `text` says is wrong."""
    return Ani3DError("protocol.malformed", f"Malformed message: {text}.", "Use a client of this project's version.")


def _limit_error(text: str) -> Ani3DError:
    hint = "Send a smaller shot (docs/protocol.md, limits)."
    return Ani3DError("protocol.limit", f"Message too large: {text}.", hint)


# ---- to frames ----


def encode(message: m.Message, request: int, protocol: int = m.PROTOCOL_VERSION) -> list[Part]:
    """The frames of `message`: the header, then each array's bytes without a copy where it is contiguous.

    Raises:
        Ani3DError: `protocol.limit` beyond a limit; `protocol.malformed` for a dtype that cannot travel.
    """
    arrays: dict[str, np.ndarray] = {}
    body = _pack(message, "", arrays)
    table: list[list[Any]] = []
    frames: list[Part] = []
    for name, array in arrays.items():
        array = portable(array, name)
        table.append([name, array.dtype.str, list(array.shape)])
        # As plain bytes: a memoryview of text cannot be sent, and one of no elements cannot be cast.
        frames.append(array.reshape(-1).view(np.uint8).data if array.size else b"")
    header = msgpack.packb(
        {"protocol": protocol, "kind": message.kind, "request": request, "body": body, "arrays": table}
    )
    _check_sizes(len(header), [memoryview(f).nbytes for f in frames])
    return [header, *frames]


def portable(array: np.ndarray, name: str) -> np.ndarray:
    """`array` as C-ordered little-endian, which is how arrays travel and how they are hashed.

    Raises:
        Ani3DError: `protocol.malformed` when the dtype is none of bool, integer, float and text.
    """
    array = np.asarray(array)
    array = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if not travels(array.dtype.str):
        raise malformed_error(f"array '{name}' has dtype {array.dtype}, which does not travel")
    return array


def _check_sizes(header: int, arrays: Sequence[int]) -> None:
    if header > m.MAX_HEADER_BYTES:
        raise _limit_error(f"the header has {header:,} bytes, the limit is {m.MAX_HEADER_BYTES:,}")
    if len(arrays) > m.MAX_ARRAYS:
        raise _limit_error(f"it has {len(arrays)} arrays, the limit is {m.MAX_ARRAYS}")
    if sum(arrays) > m.MAX_MESSAGE_BYTES:
        raise _limit_error(f"its arrays have {sum(arrays):,} bytes, the limit is {m.MAX_MESSAGE_BYTES:,}")


def _pack(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """`value` as msgpack can hold it; arrays met on the way go into `arrays` under their place."""
    if isinstance(value, list):
        return [_pack(item, f"{place}/{i}", arrays) for i, item in enumerate(value)]
    kind: Any = type(value)
    if kind in _PLAIN or not dataclasses.is_dataclass(value):
        return value
    packed = {}
    for entry in _entries(kind):
        item = getattr(value, entry.name)
        inner = f"{place}/{entry.name}" if place else entry.name
        if entry.check:
            packed[entry.name] = _pack(item, inner, arrays)
        elif isinstance(item, Mapping):
            arrays.update({f"{inner}/{name}": array for name, array in item.items() if array is not None})
        elif item is not None:
            arrays[inner] = item
    return packed


# ---- from frames ----


def read_header(frames: Sequence[Part]) -> Header:
    """The checked first frame. Raises Ani3DError `protocol.version`, `protocol.malformed` or `protocol.limit`."""
    raw, request = peek(frames)
    version = raw.get("protocol")
    if type(version) is not int or version != m.PROTOCOL_VERSION:
        raise Ani3DError(
            "protocol.version",
            f"The other side speaks protocol {version!r}, this side {m.PROTOCOL_VERSION}.",
            "Install the add-on and the engine from the same release.",
        )
    if set(raw) != _HEADER_KEYS or not isinstance(raw["kind"], str) or not isinstance(raw["body"], dict):
        raise malformed_error("the header's entries are not those of a header")
    table = raw["arrays"]
    if not isinstance(table, list):
        raise malformed_error("the array table is no list")
    if len(table) > m.MAX_ARRAYS:
        raise _limit_error(f"it has {len(table)} arrays, the limit is {m.MAX_ARRAYS}")
    return Header(raw["kind"], request, raw["body"], [_table_entry(entry) for entry in table])


def peek(frames: Sequence[Part]) -> tuple[dict[str, Any], int]:
    """The header as an unchecked map, and its request id (0 where it has none).

    Raises:
        Ani3DError: `protocol.malformed` when there is no map; `protocol.limit` when it is too large.
    """
    if not frames:
        raise malformed_error("it has no frames")
    size = memoryview(frames[0]).nbytes
    if size > m.MAX_HEADER_BYTES:
        raise _limit_error(f"the header has {size:,} bytes, the limit is {m.MAX_HEADER_BYTES:,}")
    try:
        raw = msgpack.unpackb(frames[0], strict_map_key=True)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise malformed_error(f"the header cannot be read ({type(error).__name__})") from None
    if not isinstance(raw, dict):
        raise malformed_error("the header is no map")
    request = raw.get("request")
    return raw, request if isinstance(request, int) and 0 <= request < 1 << 63 else 0


def _table_entry(entry: Any) -> tuple[str, np.dtype, tuple[int, ...]]:
    try:
        name, dtype, shape = entry
        good = isinstance(name, str) and len(name) <= m.MAX_NAME and isinstance(dtype, str)
        good = good and travels(dtype)
        good = good and isinstance(shape, list) and len(shape) <= m.MAX_DIMENSIONS
        good = good and all(type(n) is int and 0 <= n <= m.MAX_MESSAGE_BYTES for n in shape)
    except (TypeError, ValueError):
        good = False
    if not good:
        raise malformed_error("an entry of the array table is not [name, dtype, shape]")
    return name, np.dtype(dtype), tuple(shape)


def decode(header: Header, frames: Sequence[Part], kinds: Mapping[str, type[m.Message]]) -> m.Message:
    """The message of a checked header and its array frames, one of `kinds`.

    Arrays are read-only views of the frames, not copies (but for a frame that is not aligned).

    Raises:
        Ani3DError: `protocol.malformed` or `protocol.limit`.
    """
    if header.kind not in kinds:
        raise malformed_error(f"the kind '{header.kind[:40]}' is unknown on this side")
    if len(frames) != len(header.arrays):
        raise malformed_error(f"{len(header.arrays)} arrays are announced and {len(frames)} came")
    _check_sizes(0, [memoryview(frame).nbytes for frame in frames])
    arrays: dict[str, np.ndarray] = {}
    for (name, dtype, shape), frame in zip(header.arrays, frames, strict=True):
        if name in arrays:
            raise malformed_error(f"the array '{name}' comes twice")
        arrays[name] = _array(name, dtype, shape, frame)
    message = _unpack(kinds[header.kind], header.body, "", arrays)
    if arrays:
        raise malformed_error(f"the array '{next(iter(arrays))}' has no place in a '{header.kind}'")
    return message


def _array(name: str, dtype: np.dtype, shape: tuple[int, ...], frame: Part) -> np.ndarray:
    count = 1
    for n in shape:
        count *= n  # Python's integers: a product of huge sizes must not wrap around
    size = memoryview(frame).nbytes
    if count * dtype.itemsize != size:
        raise malformed_error(f"array '{name}' should have {count * dtype.itemsize:,} bytes and has {size:,}")
    if count == 0:
        return np.empty(shape, dtype)
    array = np.frombuffer(frame, dtype=dtype).reshape(shape)
    if dtype.kind == "U" and np.frombuffer(frame, dtype="<u4").max() > 0x10FFFF:
        raise malformed_error(f"the text array '{name}' holds numbers that are no characters")
    return array if array.flags.aligned else array.copy()


def _unpack(cls: Any, value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """An instance of the dataclass `cls` from the map `value`, taking its arrays out of `arrays`."""
    entries = _entries(cls)
    where = place or getattr(cls, "kind", cls.__name__)
    if not isinstance(value, dict) or value.keys() != {entry.name for entry in entries if entry.check}:
        plain = sorted(entry.name for entry in entries if entry.check)
        raise malformed_error(f"'{where}' should have the entries {plain}")
    found: dict[str, Any] = {}
    for name, check, many, optional in entries:
        inner = f"{place}/{name}" if place else name
        if check:
            found[name] = check(value[name], inner, arrays)
        elif many:
            keys = [key for key in arrays if key.startswith(inner + "/")]
            found[name] = {key[len(inner) + 1 :]: arrays.pop(key) for key in keys}
        elif inner in arrays or optional:
            found[name] = arrays.pop(inner, None)
        else:
            raise malformed_error(f"the array '{inner}' is missing")
    try:
        return cls(**found)
    except ValueError as error:
        raise malformed_error(f"in '{where}', {error}") from None


@cache
def _checker(hint: Any) -> Check:
    """What checks a value of the type `hint`, found once: asking types costs more than a message does otherwise."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = _checker(next(part for part in parts if part is not type(None)))
        return lambda value, place, arrays: None if value is None else inner(value, place, arrays)
    if dataclasses.is_dataclass(hint):
        return lambda value, place, arrays: _unpack(hint, value, place, arrays)
    item = _checker(parts[0]) if origin is list else None

    def check(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
        if type(value) is hint or (origin is dict and isinstance(value, dict) and _is_plain(value)):
            return value
        if item and isinstance(value, list):
            return [item(entry, f"{place}/{i}", arrays) for i, entry in enumerate(value)]
        if hint is float and type(value) is int:
            return float(value)
        raise malformed_error(f"'{place}' should be {getattr(hint, '__name__', hint)}")

    return check


def _is_plain(value: Any, depth: int = m.MAX_DEPTH) -> bool:
    """True for what JSON can say, not too deep: no bytes, no extension types, text as keys."""
    if isinstance(value, dict):
        return depth > 0 and all(isinstance(key, str) and _is_plain(item, depth - 1) for key, item in value.items())
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(item, depth - 1) for item in value)
    return value is None or type(value) in (bool, int, float, str)


@cache
def _entries(cls: Any) -> tuple[_Entry, ...]:
    """The fields of a dataclass in order; class variables such as `kind` left out."""
    hints = typing.get_type_hints(cls)
    return tuple(_entry(field.name, hints[field.name]) for field in dataclasses.fields(cls))


def _entry(name: str, hint: Any) -> _Entry:
    parts = typing.get_args(hint)
    if hint is np.ndarray or np.ndarray in parts:
        return _Entry(name, None, hint == dict[str, np.ndarray], type(None) in parts)
    return _Entry(name, _checker(hint), False, False)

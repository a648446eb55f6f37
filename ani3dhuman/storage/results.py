"""Results of stages as arrays and JSON values, and back: any dataclass of arrays, tensors, notes and dataclasses.

Named tuples of arrays are like dataclasses.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

import numpy as np

from .frames_on_disk import Frames

Result = TypeVar("Result")


def to_arrays(result: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arrays and `Frames` by name, and the other fields, None among them, as JSON values.

    Fields of an inner dataclass are INNER.NAME.
    """
    arrays: dict[str, Any] = {}
    notes: dict[str, Any] = {}
    torch = sys.modules.get("torch")  # who has no tensors need not load it
    for entry in fields(result):
        value = getattr(result, entry.name)
        if torch is not None and isinstance(value, torch.Tensor):
            value = value.numpy()
        if isinstance(value, np.ndarray | Frames):
            arrays[entry.name] = value
        elif is_dataclass(value):
            inner_arrays, inner_notes = to_arrays(value)
            arrays |= {f"{entry.name}.{name}": array for name, array in inner_arrays.items()}
            notes |= {f"{entry.name}.{name}": note for name, note in inner_notes.items()}
        elif hasattr(value, "_asdict"):
            arrays |= {f"{entry.name}.{name}": array for name, array in value._asdict().items()}
        else:
            notes[entry.name] = value
    return arrays, notes


def from_arrays(kind: type[Result], arrays: Mapping[str, Any], notes: Mapping[str, Any]) -> Result:
    """The dataclass that `to_arrays` took apart; tensors are copies, arrays are taken as they are.

    Raises:
        KeyError, TypeError: something of it is missing.
    """
    hints, torch = get_type_hints(kind), sys.modules.get("torch")
    values: dict[str, Any] = {}
    for entry in fields(kind):  # type: ignore[arg-type]  # it is a dataclass
        name, hint = entry.name, hints[entry.name]
        if name in notes:
            values[name] = notes[name]
        elif (inner_kind := next((each for each in (hint, *get_args(hint)) if is_dataclass(each)), None)) is not None:
            inner = [{k[len(name) + 1 :]: v for k, v in m.items() if k.startswith(f"{name}.")} for m in (arrays, notes)]
            values[name] = from_arrays(inner_kind, *inner)  # type: ignore[arg-type]
        elif hasattr(hint, "_fields"):
            values[name] = hint(*(arrays[f"{name}.{part}"] for part in hint._fields))
        elif torch is not None and torch.Tensor in (hint, *get_args(hint)):
            values[name] = torch.from_numpy(np.array(arrays[name]))
        else:
            values[name] = arrays[name]
    return kind(**values)

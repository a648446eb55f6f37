# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mesh stores on its vertices, faces and face corners, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np

FIELDS: dict[str, tuple[str, int, Any]] = {
    "FLOAT": ("value", 1, np.float32),
    "INT": ("value", 1, np.int32),
    "INT8": ("value", 1, np.int32),
    "BOOLEAN": ("value", 1, bool),
    "FLOAT2": ("vector", 2, np.float32),
    "FLOAT_VECTOR": ("vector", 3, np.float32),
    "FLOAT_COLOR": ("color", 4, np.float32),
    "BYTE_COLOR": ("color", 4, np.float32),
}
"""By type of an attribute: the property that holds a value, how many numbers that is, and of which type."""


def attributes_of(mesh: bpy.types.Mesh) -> Iterator[tuple[str, str, str, np.ndarray]]:
    """Name, type, domain and values (n,k) of every attribute with numbers in it; not Blender's own, such as edges."""
    stored: Any = mesh.attributes
    for attribute in stored:
        if attribute.name.startswith(".") or attribute.data_type not in FIELDS or len(attribute.data) == 0:
            continue
        field, width, dtype = FIELDS[attribute.data_type]
        values = np.empty(len(attribute.data) * width, dtype)
        attribute.data.foreach_get(field, values)
        yield attribute.name, attribute.data_type, attribute.domain, values.reshape(-1, width)

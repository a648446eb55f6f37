# SPDX-License-Identifier: GPL-3.0-or-later
"""A hash that tells a character: its meshes, skin weights and materials, whatever it does and wherever it stands.

Shots of one character have one hash, so that pictures of it serve them all; another material or mesh has another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import bpy
import numpy as np

from .figure import Figure
from .rest import RestMesh
from .surfaces.fingerprint import material_facts
from .surfaces.mesh_data import attributes_of
from .triangles import coordinates

_VERSION = b"1"


def character_hash(figure: Figure, meshes: Sequence[RestMesh]) -> str:
    """The hash of a character at rest, 64 hexadecimal digits; `meshes` are those of `figure`."""
    made = hashlib.sha256(_VERSION)
    for name, rest in zip(figure.names, meshes, strict=True):
        made.update(name.encode(errors="replace"))
        for part in _mesh_facts(rest):
            made.update(part)
    for array in (figure.faces, figure.weight_indices, figure.weight_values):
        made.update(np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int32).tobytes())
    materials = [slot.material for rest in meshes for slot in rest.item.material_slots if slot.material]
    for material in dict.fromkeys(materials):
        made.update(material_facts(material).encode(errors="replace"))
    return made.hexdigest()


def _mesh_facts(rest: RestMesh) -> Iterator[bytes]:
    """Where the artist put the vertices of an object, before shape keys and modifiers, and its UV maps and colours."""
    own = rest.item.data if isinstance(rest.item.data, bpy.types.Mesh) and rest.strands is None else rest.mesh
    yield coordinates(own).tobytes()
    for name, kind, domain, values in attributes_of(own):
        if name != "position":
            yield f"{name} {kind} {domain} {values.shape}".encode(errors="replace")
            yield np.ascontiguousarray(values).tobytes()
    yield np.array(rest.slots, np.int32).tobytes()
    yield "\n".join(slot.material.name if slot.material else "" for slot in rest.item.material_slots).encode()

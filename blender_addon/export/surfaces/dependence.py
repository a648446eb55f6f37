# SPDX-License-Identifier: GPL-3.0-or-later
"""What a surface's colour depends on: nothing, UVs, or the place on the mesh; and what no picture can hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bpy

from ...sentence import said
from . import graph
from .graph import Coordinates, Path
from .shaders import TOON, Shown

# nodes whose value depends on their inputs alone; anything else but UVs and pictures is taken to read the mesh
_FUNCTIONS = (
    *("MIX", "MIX_RGB", "MATH", "VECT_MATH", "MAP_RANGE", "CLAMP", "VALTORGB", "CURVE_RGB", "CURVE_VEC", "CURVE_FLOAT"),
    *(
        "HUE_SAT",
        "BRIGHTCONTRAST",
        "GAMMA",
        "INVERT",
        "RGBTOBW",
        "SEPARATE_COLOR",
        "COMBINE_COLOR",
        "SEPRGB",
        "COMBRGB",
    ),
    *("SEPHSV", "COMBHSV", "SEPXYZ", "COMBXYZ", "BLACKBODY", "WAVELENGTH", "RGB", "VALUE", "MAPPING", "VECTOR_ROTATE"),
)
_BY_THE_VIEW = {
    "FRESNEL": "Fresnel",
    "LAYER_WEIGHT": "Layer Weight",
    "CAMERA": "Camera Data",
    "NEW_GEOMETRY Incoming": "Incoming",
    "TEX_COORD Camera": "Camera coordinates",
    "TEX_COORD Window": "Window coordinates",
    "TEX_COORD Reflection": "Reflection coordinates",
}
_UNBAKED = {
    "SCRIPT": "has an Open Shading Language script",
    "PARTICLE_INFO": "differs by particle",
    "HAIR_INFO": "differs by hair",
    "POINT_INFO": "differs by point",
    "OBJECT_INFO Random": "differs by object at random",
    "AMBIENT_OCCLUSION": "has an Ambient Occlusion node and is exported without what stands around it",
}


@dataclass
class Dependence:
    """What takes part in a colour and its opacity.

    `pictures`: the Image Texture nodes. `places`: where they look their pictures up; with `""` for the active UV map,
    `uv_maps` names the maps read in any other way. `mesh`: whether more of the mesh is read than UVs.
    `remarks`: why the surface is not exported quite as it is, each as the end of a sentence.
    """

    pictures: list[Any] = field(default_factory=list)
    places: set[Coordinates] = field(default_factory=set)
    uv_maps: set[str] = field(default_factory=set)
    mesh: bool = False
    remarks: list[str] = field(default_factory=list)

    @property
    def all_maps(self) -> set[str]:
        """Names of all UV maps that are read."""
        return self.uv_maps | {place.uv_map for place in self.places}


def dependence_of(shown: Shown) -> Dependence:
    """What the two values of `shown` depend on."""
    found = Dependence()
    seen: set[Any] = set()
    for value in (shown.color, shown.alpha):
        if not isinstance(value, (float, tuple)):
            for output, path in graph.upstream(*graph.origin(value, ()), seen):
                _read(found, output, path)
    return found


def _read(found: Dependence, output: Any, path: Path) -> None:
    node = output.node
    kind, exact = node.type, f"{node.type} {output.name}"
    if (view := _BY_THE_VIEW.get(kind) or _BY_THE_VIEW.get(exact)) is not None:
        _remark(
            found, said("looks different from every side ({view}) and is exported as seen straight on", view=said(view))
        )
    elif node.name.startswith(TOON):
        _remark(found, "is shaded by Shader to RGB and is exported as in full light")
    elif (why := _UNBAKED.get(kind) or _UNBAKED.get(exact)) is not None:
        _remark(found, why)
    if kind == "TEX_IMAGE":
        _read_picture(found, node, path)
    elif kind == "UVMAP" and not node.from_instancer:
        found.uv_maps.add(node.uv_map)
    elif exact == "TEX_COORD UV" and not node.from_instancer:
        found.uv_maps.add("")
    elif kind.startswith("TEX_") and kind not in ("TEX_COORD", "TEX_ENVIRONMENT", "TEX_SKY", "TEX_IES"):
        vector = graph.find(node.inputs, "Vector")
        found.mesh |= vector is None or graph.source(vector) is None
    elif kind not in _FUNCTIONS:
        found.mesh = True


def _read_picture(found: Dependence, node: Any, path: Path) -> None:
    if node not in found.pictures:
        found.pictures.append(node)
    place = graph.coordinates(node, path)
    if place is not None:
        found.places.add(place)
    elif node.projection != "FLAT":
        found.mesh = True
    elif not graph.producer(node.inputs["Vector"], path)[0].is_output:
        found.uv_maps.add("")
    image = node.image
    if image is None:
        _remark(found, "has an Image Texture node without a picture, which Blender shows magenta")
    elif is_missing(image):
        _remark(
            found,
            said(
                "has the picture '{name}', which is missing ({path}): magenta, as in Blender",
                name=image.name,
                path=image.filepath,
            ),
        )
    elif image.source in ("MOVIE", "SEQUENCE"):
        _remark(
            found,
            said("has a moving picture ('{name}'), which is exported as it is at the first frame", name=image.name),
        )


def is_missing(image: bpy.types.Image) -> bool:
    """Whether nothing can be read of a picture."""
    return min(image.size) == 0


def _remark(found: Dependence, text: str) -> None:
    if text not in found.remarks:
        found.remarks.append(text)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a result is seen: the mesh, the Gaussians, both, or the character itself in its place.

Viewport and renders always show the same. Only one of a character's results is seen at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import bpy

from . import film_nodes, on_original
from .import_result import hide_replaced, parts_of, result_names, show_again
from .mesh_copy import show_hair
from .playback import played_on
from .properties import object_group
from .sentence import said

MESH, GAUSSIANS, BOTH, ORIGINAL, FILM = "MESH", "GAUSSIANS", "BOTH", "ORIGINAL", "FILM"
ON_ORIGINAL = "ON_ORIGINAL"
ITEMS = (
    (MESH, "Mesh", "The character's own meshes and materials, moved as the result says"),
    (GAUSSIANS, "Gaussians", "The Gaussians alone, in the light that the shot had: lamps do not light them"),
    (BOTH, "Both", "The Gaussians, and the meshes below them"),
    (
        ON_ORIGINAL,
        "On Original",
        "The character's own objects play the result by a modifier, so that all that comes behind it stays theirs: "
        "later modifiers, hair, shape keys, edits. Another choice takes it off again",
    ),
    (ORIGINAL, "Original", "The character as it was before"),
    (FILM, "Film", "The engine's film frames in renders; the meshes cast their shadows, and are seen in the viewport"),
)


def show_as(name: str, what: str, warn: Callable[[str], None] = lambda _message: None) -> None:
    """Show `what`, one of `ITEMS`, of the result `name` of this file; `warn` hears which copies stay."""
    parts = parts_of(name)
    sources = [source for item in parts if (source := object_group(item).source)]
    hide_replaced(sources, lambda _message: None)
    for item in parts:
        is_mesh = object_group(item).kind == "MESH"
        item.hide_viewport = item.hide_render = what not in ((MESH, BOTH, FILM) if is_mesh else (GAUSSIANS, BOTH))
        item.visible_camera = what != FILM
        show_hair(item, what in (MESH, FILM))
    film_nodes.switch(name, what == FILM)
    if what == ON_ORIGINAL:
        _show_on_originals(parts, warn)
    if what == ORIGINAL:
        for source in sources:
            show_again(source)


def _show_on_originals(parts: list[bpy.types.Object], warn: Callable[[str], None]) -> None:
    for copy in [item for item in parts if object_group(item).kind == "MESH"]:
        source = object_group(copy).source
        if source is None or not isinstance(copy.data, bpy.types.Mesh) or not len(copy.data.vertices):
            continue
        if reason := on_original.why_not(copy):
            copy.hide_viewport = copy.hide_render = False
            warn(said("'{name}' is shown by its copy: {reason}.", name=source.name, reason=said(reason)))
        else:
            on_original.put_on(copy, bpy.context.scene)
            show_again(source)


def shown_as(name: str) -> str:
    """What is seen of the result now, one of `ITEMS`."""
    if any(played_on(source) == name for item in parts_of(name) if (source := object_group(item).source)):
        return ON_ORIGINAL
    parts = [item for item in parts_of(name) if not item.hide_viewport]
    if any(not item.visible_camera for item in parts):
        return FILM
    seen = {object_group(item).kind for item in parts}
    if "MESH" in seen:
        return BOTH if "GAUSSIANS" in seen else MESH
    return GAUSSIANS if seen else ORIGINAL


def with_gaussians() -> list[str]:
    """Names of the results that have Gaussians, those that are seen first."""
    found = {}
    for name in result_names():
        kinds = {object_group(item).kind: item for item in parts_of(name)}
        if "GAUSSIANS" in kinds:
            found[name] = all(item.hide_render for item in parts_of(name))
    return sorted(found, key=lambda name: found[name])


def others_of(name: str) -> list[str]:
    """Names of the other results of the character whose result `name` is, in a circle that begins behind it."""

    def of(result: str) -> set[bpy.types.Object]:
        return {source for item in parts_of(result) if (source := object_group(item).source)}

    names = [each for each in result_names() if each == name or of(each) & of(name)]
    place = names.index(name) if name in names else 0
    return [each for each in names[place + 1 :] + names[:place] if each != name]


def best_for(name: str) -> str:
    """What to show at first: the meshes, unless some parts are Gaussians alone, such as strands of hair."""
    meshes = [item.data for item in parts_of(name) if isinstance(item.data, bpy.types.Mesh)]
    return MESH if meshes and all(len(mesh.vertices) for mesh in meshes) else BOTH

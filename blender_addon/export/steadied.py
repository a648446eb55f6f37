# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a character again where its modifiers make other vertices in other poses, with less of them each time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import TypeVar

import bpy

from ..sentence import said
from .modifiers import last_generative, steadied_merges, switched_off
from .motion import OtherVertices

Step = TypeVar("Step")
Result = TypeVar("Result")


def steadied(
    attempt: Callable[[set[bpy.types.Object]], Generator[Step, None, Result]],
    warn: Callable[[str], None],
    evaluate: bool = False,
) -> Generator[Step, None, Result]:
    """What `attempt` yields and returns. It is called again where it raises `OtherVertices`.

    Args:
        attempt: takes the objects that are not compared with Blender, but moved by their weights.
        evaluate: the meshes are wanted as Blender shows them, so none is moved by weights.
    """
    by_weights: set[bpy.types.Object] = set()
    with ExitStack() as stack:
        while True:
            try:
                return (yield from attempt(by_weights))
            except OtherVertices as problem:
                item = problem.member.item
                if (steadier := steadied_merges(item)) is not None:
                    stack.enter_context(steadier)
                elif not evaluate and item not in by_weights:
                    by_weights.add(item)
                    warn(
                        said("{what}: it is exported as it is at rest, and moved by its weights.", what=problem.what())
                    )
                elif (modifier := last_generative(item)) is not None:
                    stack.enter_context(switched_off([modifier]))
                    warn(
                        said(
                            "{what}: '{modifier}' is not part of the shot.", what=problem.what(), modifier=modifier.name
                        )
                    )
                else:
                    raise problem.error() from None

# SPDX-License-Identifier: GPL-3.0-or-later
"""Math nodes in shader and geometry trees, of numbers and sockets alike."""

from __future__ import annotations

from typing import Any

Color = Any
"""A linear colour: three numbers, or the output socket of a node."""
Factor = Any
"""A float, or the output socket of a node."""


def put(tree: Any, socket: Any, value: Color | Factor) -> None:
    """Give an input a constant or another node's output."""
    if not isinstance(value, (float, tuple)):
        tree.links.new(value, socket)
    elif hasattr(socket.default_value, "__len__"):
        numbers = value if isinstance(value, tuple) else (value,) * 3
        socket.default_value = (*numbers, 1.0)[: len(socket.default_value)]
    else:
        socket.default_value = value if isinstance(value, float) else value[0]


def math_node(tree: Any, operation: str, *values: Factor) -> Any:
    """The output of a new Math node of the tree, with these inputs."""
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = operation
    for socket, value in zip(node.inputs, values, strict=False):
        put(tree, socket, value)
    return node.outputs[0]

# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums and products of colours that are constants or sockets; nodes are made only where a socket takes part."""

from __future__ import annotations

from typing import Any

from ...math_nodes import Color, Factor, math_node, put


class Nodes:
    """Arithmetic in one tree."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def _math(self, operation: str, *values: Factor) -> Any:
        return math_node(self.tree, operation, *values)

    def _vector(self, operation: str, a: Color, b: Color | Factor) -> Any:
        node = self.tree.nodes.new("ShaderNodeVectorMath")
        node.operation = operation
        put(self.tree, node.inputs[0], a)
        put(self.tree, node.inputs["Scale"] if operation == "SCALE" else node.inputs[1], b)
        return node.outputs[0]

    def copy_of(self, value: Color | Factor, name: str) -> Any:
        """An output with this value, of a node of this name."""
        output = self._vector("ADD", value, (0.0, 0.0, 0.0))
        output.node.name = name
        return output

    def complement(self, factor: Factor) -> Factor:
        return 1.0 - factor if isinstance(factor, float) else self._math("SUBTRACT", 1.0, factor)

    def clamped(self, factor: Factor) -> Factor:
        if isinstance(factor, float):
            return min(max(factor, 0.0), 1.0)
        return self._math("MAXIMUM", self._math("MINIMUM", factor, 1.0), 0.0)

    def times(self, a: Factor, b: Factor) -> Factor:
        if isinstance(a, float) and isinstance(b, float):
            return a * b
        for known, other in ((a, b), (b, a)):
            if known == 1.0 or known == 0.0:
                return other if known else 0.0
        return self._math("MULTIPLY", a, b)

    def plus(self, a: Factor, b: Factor) -> Factor:
        if isinstance(a, float) and isinstance(b, float):
            return a + b
        for known, other in ((a, b), (b, a)):
            if known == 0.0:
                return other
        return self._math("ADD", a, b)

    def scaled(self, color: Color, factor: Factor) -> Color:
        if isinstance(factor, float):
            if factor == 1.0:
                return color
            if factor == 0.0:
                return (0.0, 0.0, 0.0)
            if isinstance(color, tuple):
                return tuple(c * factor for c in color)
        if color == (0.0, 0.0, 0.0):
            return color
        return self._vector("SCALE", color, factor)

    def sum(self, a: Color, b: Color) -> Color:
        if isinstance(a, tuple) and isinstance(b, tuple):
            return tuple(x + y for x, y in zip(a, b, strict=True))
        for known, other in ((a, b), (b, a)):
            if known == (0.0, 0.0, 0.0):
                return other
        return self._vector("ADD", a, b)

    def product(self, a: Color, b: Color) -> Color:
        if isinstance(a, tuple) and isinstance(b, tuple):
            return tuple(x * y for x, y in zip(a, b, strict=True))
        return self._vector("MULTIPLY", a, b)

    def divided(self, color: Color, factor: Factor) -> Color:
        if isinstance(factor, float):
            return self.scaled(color, 1 / factor) if factor else color
        return self._vector("SCALE", color, self._math("DIVIDE", 1.0, self._math("MAXIMUM", factor, 1e-6)))

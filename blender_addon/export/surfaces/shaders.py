# SPDX-License-Identifier: GPL-3.0-or-later
"""What a shader shows: its colour and its opacity, as constants or as sockets of a working copy of the material."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import bpy

from ...math_nodes import Color, Factor
from ...sentence import said
from . import graph
from .arithmetic import Nodes
from .graph import Path, find

TOON = "ani3d toon"  # name of the nodes that stand for Shader to RGB
_CAMERA_RAY = {"Is Camera Ray": 1.0}  # what a Light Path node says to the eye; all else is 0
_MELANIN = ((0.506, 0.841, 1.653), (0.343, 0.733, 1.924))  # absorption of eumelanin and pheomelanin
_MIRRORS = ("BSDF_GLOSSY", "BSDF_ANISOTROPIC")
_VIEW = ("FRESNEL", "LAYER_WEIGHT")
BLACK = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Shown:
    """A surface's straight colour and its opacity; `mirror`: what is seen are reflections alone."""

    color: Color
    alpha: Factor
    mirror: bool = False


@dataclass
class WorkingMaterial:
    """A copy of a material to build nodes in. `shown` is None where it has no output node; `surface` is its input.

    `remarks`: what of the surface is not a matter of colour and opacity, each as the end of a sentence.
    """

    material: bpy.types.Material
    groups: list[Any]
    shown: Shown | None = None
    surface: Any = None
    remarks: list[str] = field(default_factory=list)


@contextmanager
def working_copy(material: bpy.types.Material, engine: str) -> Iterator[WorkingMaterial]:
    """A copy of `material`, groups and all, with what its output for the render engine shows; removed afterwards."""
    work = WorkingMaterial(material.copy(), [])
    try:
        tree: Any = work.material.node_tree
        _copy_groups(tree, work.groups)
        _settle_light_paths(tree)
        reader = _Reader(work.remarks)
        for inner, path in graph.trees_of(tree):
            reader.settle_toon(inner, path)
        output = tree.get_output_node("CYCLES" if engine == "CYCLES" else "EEVEE")
        if output is not None:
            work.shown, work.surface = reader.output(output), output.inputs["Surface"]
        yield work
    finally:
        bpy.data.materials.remove(work.material)
        for group in work.groups:
            bpy.data.node_groups.remove(group)


def _copy_groups(tree: Any, copies: list[Any]) -> None:
    for node in tree.nodes:
        if node.type == "GROUP" and node.node_tree:
            node.node_tree = node.node_tree.copy()
            copies.append(node.node_tree)
            _copy_groups(node.node_tree, copies)


def _settle_light_paths(tree: Any) -> None:
    for inner, _ in graph.trees_of(tree):
        for node in [n for n in inner.nodes if n.type == "LIGHT_PATH"]:
            for output in node.outputs:
                value = inner.nodes.new("ShaderNodeValue")
                value.outputs[0].default_value = _CAMERA_RAY.get(output.name, 0.0)
                _replace(inner, output, value.outputs[0])


def _replace(tree: Any, output: Any, other: Any) -> None:
    for socket in [link.to_socket for link in output.links]:
        tree.links.new(other, socket)


class _Reader:
    """Walks back from an output and builds, tree by tree, the nodes that mix colours as shaders are mixed."""

    def __init__(self, remarks: list[str]) -> None:
        self.remarks = remarks
        self._open: list[Any] = []  # outputs that are being read

    def output(self, node: Any) -> Shown:
        surface, volume = node.inputs["Surface"], node.inputs["Volume"]
        if graph.source(surface) is None and graph.source(volume) is not None:
            self._remark("has a volume only and is left out")
            return Shown(BLACK, 0.0)
        return self.shader(surface, ())

    def settle_toon(self, tree: Any, path: Path) -> None:
        """Put what a shader shows in full light in the place of each Shader to RGB node."""
        for node in [n for n in tree.nodes if n.type == "SHADERTORGB"]:
            shown, nodes = self.shader(node.inputs[0], path), Nodes(tree)
            _replace(tree, node.outputs["Color"], nodes.copy_of(shown.color, TOON))
            _replace(tree, node.outputs["Alpha"], nodes.copy_of(shown.alpha, TOON))

    def shader(self, socket: Any, path: Path) -> Shown:
        """What the shader shows that feeds `socket`; black where there is none, as in Blender."""
        output = graph.source(socket)
        if output is None:
            return Shown(BLACK, 1.0)
        node = output.node
        if node.type == "GROUP" and node.node_tree:
            return self._out_of_group(node, output, path)
        if node.type == "GROUP_INPUT" and path:
            return self._into_group(node, output, path)
        if output.type != "SHADER":  # a colour in the place of a shader shines
            return Shown(output, 1.0)
        if (output, path) in self._open:  # a circle, which Blender cuts
            return Shown(BLACK, 1.0)
        self._open.append((output, path))
        reader = getattr(self, "_" + node.type.lower(), None)
        shown = reader(node, path) if reader else self._colored(node, path)
        self._open.pop()
        return shown

    def _out_of_group(self, node: Any, output: Any, path: Path) -> Shown:
        tree, end = node.node_tree, graph.group_end(node.node_tree, "GROUP_OUTPUT")
        if end is None:
            return Shown(BLACK, 1.0)
        inner = self.shader(find(end.inputs, output.identifier), (*path, node))

        def outside(value: Any, kind: str) -> Any:
            if isinstance(value, (float, tuple)):
                return value
            name = tree.interface.new_socket("ani3d", in_out="OUTPUT", socket_type=kind).identifier
            tree.links.new(value, find(end.inputs, name))
            return find(node.outputs, name)

        color, alpha = outside(inner.color, "NodeSocketColor"), outside(inner.alpha, "NodeSocketFloat")
        return replace(inner, color=color, alpha=alpha)

    def _into_group(self, node: Any, output: Any, path: Path) -> Shown:
        group = path[-1]
        outer = self.shader(find(group.inputs, output.identifier), path[:-1])

        def inside(value: Any, kind: str) -> Any:
            if isinstance(value, (float, tuple)):
                return value
            name = group.node_tree.interface.new_socket("ani3d", in_out="INPUT", socket_type=kind).identifier
            group.id_data.links.new(value, find(group.inputs, name))
            return find(node.outputs, name)

        color, alpha = inside(outer.color, "NodeSocketColor"), inside(outer.alpha, "NodeSocketFloat")
        return replace(outer, color=color, alpha=alpha)

    def _color(self, socket: Any, path: Path) -> Color:
        value = graph.constant(socket, path)
        return graph.source(socket) if value is None else value

    def _factor(self, socket: Any, path: Path) -> Factor:
        value = graph.number(socket, path)
        return graph.source(socket) if value is None else value

    def _colored(self, node: Any, path: Path) -> Shown:
        """Any shader with one colour."""
        socket = find(node.inputs, "Base Color") or find(node.inputs, "Color")
        if socket is None:
            self._remark(said("has a shader that is not understood ({node})", node=node.bl_label))
            return Shown(BLACK, 1.0)
        return Shown(self._color(socket, path), 1.0, node.type in _MIRRORS)

    def _emission(self, node: Any, path: Path) -> Shown:
        color, strength = self._color(node.inputs["Color"], path), self._factor(node.inputs["Strength"], path)
        return Shown(Nodes(node.id_data).scaled(color, strength), 1.0)

    _background = _emission

    def _bsdf_principled(self, node: Any, path: Path) -> Shown:
        nodes = Nodes(node.id_data)
        color, alpha = self._color(node.inputs["Base Color"], path), self._factor(node.inputs["Alpha"], path)
        emitted, strength = find(node.inputs, "Emission Color"), find(node.inputs, "Emission Strength")
        light = nodes.scaled(self._color(emitted, path), self._factor(strength, path))
        if (graph.number(node.inputs["Transmission Weight"], path) or 0.0) > 0.5:
            self._remark("is clear like glass and is exported as an opaque surface of its colour")
        return Shown(nodes.sum(color, light), alpha)

    def _eevee_specular(self, node: Any, path: Path) -> Shown:
        nodes = Nodes(node.id_data)
        light = self._color(node.inputs["Emissive Color"], path)
        clear = self._factor(node.inputs["Transparency"], path)
        return Shown(nodes.sum(self._color(node.inputs["Base Color"], path), light), nodes.complement(clear))

    def _bsdf_glass(self, node: Any, path: Path) -> Shown:
        self._remark("is clear like glass and is exported as an opaque surface of its colour")
        return self._colored(node, path)

    _bsdf_refraction = _bsdf_glass

    def _bsdf_transparent(self, node: Any, path: Path) -> Shown:
        clear = self._factor(node.inputs["Color"], path)
        return Shown(BLACK, Nodes(node.id_data).complement(clear))

    def _holdout(self, _node: Any, _path: Path) -> Shown:
        self._remark("cuts a hole into the picture (Holdout) and is left out there")
        return Shown(BLACK, 0.0)

    def _bsdf_hair_principled(self, node: Any, path: Path) -> Shown:
        if node.parametrization == "COLOR":
            return Shown(self._color(node.inputs["Color"], path), 1.0)
        if node.parametrization == "ABSORPTION":
            sigma = graph.constant(node.inputs["Absorption Coefficient"], path)
        else:
            amount, red = (graph.number(node.inputs[name], path) for name in ("Melanin", "Melanin Redness"))
            sigma = None
            if amount is not None and red is not None:
                thick = -math.log(max(1 - amount, 1e-4))
                dark, light = (thick * (1 - red), thick * red)
                sigma = tuple(dark * a + light * b for a, b in zip(*_MELANIN, strict=True))  # type: ignore[assignment]
        if sigma is None:
            self._remark("has a varying amount of melanin and is exported as brown hair")
            sigma = tuple(1.3 * a for a in _MELANIN[0])  # type: ignore[assignment]
        rough = graph.number(node.inputs["Radial Roughness"], path) or 0.3
        bend = 5.969 - 0.215 * rough + 2.532 * rough**2 - 10.73 * rough**3 + 5.574 * rough**4 + 0.245 * rough**5
        shown: Any = tuple(math.exp(-math.sqrt(max(s, 0.0)) * bend) for s in sigma or BLACK)
        if node.parametrization == "MELANIN" and (tint := find(node.inputs, "Tint")):
            shown = Nodes(node.id_data).product(shown, self._color(tint, path))
        return Shown(shown, 1.0)

    def _mix_shader(self, node: Any, path: Path) -> Shown:
        factor = self._factor(node.inputs[0], path)
        if isinstance(factor, float) and not 0 < factor < 1:
            return self.shader(node.inputs[1 if factor <= 0 else 2], path)
        a, b = self.shader(node.inputs[1], path), self.shader(node.inputs[2], path)
        if a.mirror != b.mirror and self._is_gloss(factor, b.mirror, path):
            return a if b.mirror else b
        nodes = Nodes(node.id_data)
        factor = nodes.clamped(factor)
        share, rest = nodes.times(b.alpha, factor), nodes.times(a.alpha, nodes.complement(factor))
        alpha = nodes.plus(share, rest)
        if a.alpha == 0.0 or b.alpha == 0.0:
            return Shown(b.color if a.alpha == 0.0 else a.color, alpha)
        both = nodes.sum(nodes.scaled(a.color, rest), nodes.scaled(b.color, share))
        return Shown(nodes.divided(both, alpha), alpha)

    @staticmethod
    def _is_gloss(factor: Factor, second: bool, path: Path) -> bool:
        """Whether reflections mixed in by `factor`, as the second or first shader, are the shine of another surface."""
        if isinstance(factor, float):
            return (factor if second else 1 - factor) < 0.5
        return any(output.node.type in _VIEW for output, _ in graph.upstream(*graph.origin(factor, path)))

    def _add_shader(self, node: Any, path: Path) -> Shown:
        """Light is added; what lies behind is dimmed by neither more than by both."""
        a, b = self.shader(node.inputs[0], path), self.shader(node.inputs[1], path)
        nodes = Nodes(node.id_data)
        if a.alpha == 0.0 or b.alpha == 0.0:
            other = b if a.alpha == 0.0 else a
            if other.alpha != 0.0:
                self._remark("adds light to what lies behind it and is exported as an opaque surface")
            return other
        if a.mirror != b.mirror:
            return a if b.mirror else b
        if a.alpha != 1.0 or b.alpha != 1.0:
            self._remark("adds half-clear shaders, whose opacities are exported multiplied")
        return Shown(nodes.sum(a.color, b.color), nodes.times(a.alpha, b.alpha))

    def _remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)

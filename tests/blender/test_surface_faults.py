"""What goes wrong while a material is read costs its colour, never the export."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs


def test_an_unforeseen_fault_is_one_warning(addon, part, monkeypatch):
    rig = rigs.character()
    material = bpy.data.materials.new("Odd")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    material.diffuse_color = (0.3, 0.4, 0.5, 1)
    bpy.data.objects["Body"].data.materials.append(material)

    def fail(*_args):
        raise KeyError("nothing like it")

    monkeypatch.setattr(part("export.surfaces.appearance"), "dependence_of", fail)
    count, warnings = len(bpy.data.materials), []
    shot = part("export").export_shot(bpy.context, rig, on_warning=warnings.append)
    np.testing.assert_allclose(rigs.meta(shot)["materials"][0]["base_color"], [0.3, 0.4, 0.5], atol=1e-6)
    own = [text for text in warnings if "Odd" in text]
    assert len(own) == 1 and "viewport colour" in own[0] and "Traceback" not in own[0]
    assert len(bpy.data.materials) == count


@pytest.mark.parametrize("by", ["Fresnel", "LayerWeight", "number", "sum"])
def test_shine_over_a_colour_is_not_its_colour(addon, part, by):
    """Diffuse and glossy, mixed as plastic and varnish are: the colour is that under the shine, which is its gloss."""
    rig = rigs.character()
    material = bpy.data.materials.new("Plastic")
    if bpy.app.version < (5, 0):
        material.use_nodes = True
    tree = material.node_tree
    colour, shine = tree.nodes.new("ShaderNodeBsdfDiffuse"), tree.nodes.new("ShaderNodeBsdfGlossy")
    colour.inputs["Color"].default_value = (0.05, 0.4, 0.1, 1)
    both = tree.nodes.new("ShaderNodeAddShader" if by == "sum" else "ShaderNodeMixShader")
    tree.links.new(colour.outputs[0], both.inputs[0 if by == "sum" else 1])
    tree.links.new(shine.outputs[0], both.inputs[1 if by == "sum" else 2])
    if by == "number":
        both.inputs[0].default_value = 0.2
    elif by != "sum":
        tree.links.new(tree.nodes.new(f"ShaderNode{by}").outputs[0], both.inputs[0])
    tree.links.new(both.outputs[0], tree.nodes["Material Output"].inputs["Surface"])
    bpy.data.objects["Body"].data.materials.append(material)
    warnings = []
    shot = part("export").export_shot(bpy.context, rig, on_warning=warnings.append)
    np.testing.assert_allclose(rigs.meta(shot)["materials"][0]["base_color"], [0.05, 0.4, 0.1], atol=1e-6)
    assert not [text for text in warnings if "Plastic" in text]
    found = rigs.meta(shot)["materials"][0]
    level = {"number": 2.5, "sum": 12.5}.get(by, 0.5)
    assert (found["metallic"], found["specular"]) == (0, pytest.approx(level))
    assert found["roughness"] == pytest.approx(shine.inputs["Roughness"].default_value)

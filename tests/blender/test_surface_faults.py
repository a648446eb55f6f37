"""What goes wrong while a material is read costs its colour, never the export."""

from __future__ import annotations

import bpy
import numpy as np
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

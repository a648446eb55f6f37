"""A Cloth modifier's own settings reach the shot: its pin group, also through other modifiers, and its fabric."""

from __future__ import annotations

import bpy
import numpy as np
import pytest
import rigs


def cloth(item: bpy.types.Object, **settings: float) -> bpy.types.ClothModifier:
    modifier = item.modifiers.new("Cloth", "CLOTH")
    for name, value in settings.items():
        setattr(modifier.settings, name, value)
    return modifier


def pinned(item: bpy.types.Object, name: str = "Pin", above: float = 0.75, weight: float = 0.8) -> None:
    chosen = [v.index for v in item.data.vertices if v.co.z > above]
    item.vertex_groups.new(name=name).add(chosen, weight, "REPLACE")


def exported(part, rig):
    shot = part("export").export_shot(bpy.context, rig)
    return shot, {entry["name"]: entry for entry in rigs.meta(shot)["objects"]}


@pytest.mark.parametrize("shown", [True, False])
def test_the_pin_group_is_read_also_when_the_modifier_is_off(addon, part, shown):
    rig = rigs.character()
    skirt = bpy.data.objects["Skirt"]
    pinned(skirt)
    modifier = cloth(skirt, vertex_group_mass="Pin")
    modifier.show_viewport = modifier.show_render = shown
    shot, entries = exported(part, rig)
    own = slice(entries["Skirt"]["vertex_start"], None)
    high = np.array([v.co.z > 0.75 for v in skirt.data.vertices])
    np.testing.assert_allclose(shot["pin_weights"][own], np.where(high, 0.8, 0), atol=1e-6)
    assert (shot["pin_weights"][: own.start] == -1).all()


def test_pins_go_through_subdivision(addon, part):
    rig = rigs.character()
    skirt = bpy.data.objects["Skirt"]
    pinned(skirt, weight=1.0)
    cloth(skirt, vertex_group_mass="Pin")
    skirt.modifiers.new("Subdivision", "SUBSURF").levels = 1
    shot, entries = exported(part, rig)
    own = slice(entries["Skirt"]["vertex_start"], None)
    z, pins = shot["vertices"][own, 2], shot["pin_weights"][own]
    assert len(pins) > len(skirt.data.vertices)
    assert pins[z > 0.76].min() > 0.9 and (pins[z < 0.7] == 0).all()


def test_painted_pins_win_and_an_empty_group_says_nothing(addon, part):
    rig = rigs.character()
    skirt, body = bpy.data.objects["Skirt"], bpy.data.objects["Body"]
    pinned(skirt)
    pinned(skirt, "ani3d_pin", 0.5, 0.3)
    cloth(skirt, vertex_group_mass="Pin")
    body.vertex_groups.new(name="Pin")
    cloth(body, vertex_group_mass="Pin")
    shot, entries = exported(part, rig)
    own = slice(entries["Skirt"]["vertex_start"], None)
    assert shot["pin_weights"][own].max() == pytest.approx(0.3)
    assert (shot["pin_weights"][: own.start] == -1).all()


@pytest.mark.parametrize(
    ("settings", "fabric"),
    [
        ({}, ""),
        ({"mass": 0.15, "tension_stiffness": 5, "bending_stiffness": 0.05}, "silk"),
        ({"mass": 1, "tension_stiffness": 40, "bending_stiffness": 10}, "denim"),
        ({"mass": 0.4, "tension_stiffness": 80, "bending_stiffness": 150}, "denim"),  # Blender's leather
        ({"mass": 0.3, "tension_stiffness": 14, "bending_stiffness": 0.4}, "cotton"),
        ({"mass": 0.5, "tension_stiffness": 15, "bending_stiffness": 2}, "wool"),
    ],
)
def test_the_fabric_is_the_nearest_one(addon, part, settings, fabric):
    skirt = bpy.data.objects[rigs.character().name].children[1]
    cloth(skirt, **settings)
    assert part("export.cloth_settings").fabric_of(skirt) == fabric


def test_the_fabric_stands_in_the_shot(addon, part):
    rig = rigs.character()
    cloth(bpy.data.objects["Skirt"], mass=1.0, tension_stiffness=40, bending_stiffness=10)
    _, entries = exported(part, rig)
    assert entries["Skirt"]["fabric"] == "denim" and "fabric" not in entries["Body"]

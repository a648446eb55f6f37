"""Build demo.blend: a person in a dress who walks, turns and halts, filmed by an orbiting camera.

    .venv-blender/bin/python examples/demo/build_scene.py --out out/demo/demo.blend

This file turns the arrays of character, dress, hair, paint and walk into Blender data; it takes a few seconds.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any, cast

import bpy
import numpy as np
from mathutils import Matrix, Vector

sys.path.insert(0, str(Path(__file__).parent))

from character import Human, Part, Skeleton, load_human
from dress import cut_dress
from hair import Strands, grow_hair
from paint import GROUND, paint_dress, paint_eyes, paint_hair, paint_head, paint_skin
from shoes import SOLE, put_on_shoes
from walk import FPS, FRAMES, Motion, plan_path, to_local, walk

WIDTH, HEIGHT = 480, 832
VERTICAL_FOV = 34.0  # degrees
ORBIT = (-30.0, 30.0)  # the camera's azimuth about her, degrees, 0 looks along +Y
DISTANCE = 3.65
EYE_LEVEL = 1.5
LASHES = (0.012, 0.007, 0.005)
LEATHER = (0.62, 0.10, 0.065)
BROWN = (0.115, 0.046, 0.022)
CORAL = (0.70, 0.13, 0.08)
HAIRS, THIN = 24, 0.14  # thin hairs of each strand that Blender renders, and their radius over the strand's


def add_material(
    name: str, picture: np.ndarray | None, colour: tuple[float, float, float], roughness: float
) -> bpy.types.Material:
    """A Principled material with `picture` (H,W,4) u1 sRGB, packed, or the linear `colour` as its base colour."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    nodes: Any = material.node_tree.nodes
    shader = nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1)
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Specular IOR Level"].default_value = 0.25
    if picture is not None:
        image = bpy.data.images.new(name, picture.shape[1], picture.shape[0])
        cast(Any, image.pixels).foreach_set((picture[::-1].astype(np.float32) / 255).ravel())
        image.pack()
        texture = nodes.new("ShaderNodeTexImage")
        texture.image = image
        material.node_tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    return material


def add_armature(skeleton: Skeleton) -> bpy.types.Object:
    """The armature "Rig", its bones as the skeleton says."""
    rig = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    bones = rig.data.edit_bones
    for index, name in enumerate(skeleton.names):
        bone = bones.new(name)
        bone.head, bone.tail = skeleton.heads[index], skeleton.tails[index]
        bone.align_roll(Vector(np.cross(skeleton.x_axes[index], bone.tail - bone.head).tolist()))
        if skeleton.parents[index] >= 0:
            bone.parent = bones[skeleton.names[skeleton.parents[index]]]
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.show_in_front = True
    return rig


def add_mesh(part: Part, rig: bpy.types.Object, skeleton: Skeleton) -> bpy.types.Object:
    """A mesh object with UVs, materials, vertex groups and an Armature modifier."""
    mesh = bpy.data.meshes.new(part.name)
    mesh.from_pydata(part.vertices.tolist(), [], part.quads.tolist())
    for name in part.materials:
        mesh.materials.append(bpy.data.materials[name])
    mesh.polygons.foreach_set("material_index", part.face_materials.astype(np.int32))
    mesh.shade_smooth()
    mesh.uv_layers.new(name="UVMap").uv.foreach_set("vector", part.corner_uvs.astype(np.float32).ravel())
    thing = bpy.data.objects.new(part.name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    groups = {name: part.weights[:, bone] for bone, name in enumerate(skeleton.names)} | part.groups
    for name, values in groups.items():
        group = thing.vertex_groups.new(name=name)
        for index in np.flatnonzero(values > 1e-4):
            group.add([int(index)], float(values[index]), "REPLACE")
    thing.parent = rig
    cast(bpy.types.ArmatureModifier, thing.modifiers.new("Armature", "ARMATURE")).object = rig
    return thing


def add_strands(strands: Strands, rig: bpy.types.Object) -> bpy.types.Object:
    """Hair curves "Strands" on the bone of the head, each of which Blender renders as a bundle of thin hairs."""
    count, points = strands.pins.shape
    data: Any = bpy.data.hair_curves.new("Strands")
    data.add_curves([points] * count)
    data.points.foreach_set("position", strands.points.astype(np.float32).ravel())
    for name, values in (("radius", strands.radii), ("ani3d_pin", strands.pins)):
        attribute = data.attributes.get(name) or data.attributes.new(name, "FLOAT", "POINT")
        attribute.data.foreach_set("value", values.astype(np.float32).ravel())
    data.materials.append(bpy.data.materials["Strands"])
    item = bpy.data.objects.new("Strands", data)
    bpy.context.scene.collection.objects.link(item)
    item.parent, item.parent_type, item.parent_bone = rig, "BONE", "head"
    bpy.context.view_layer.update()
    item.matrix_world = Matrix.Identity(4)
    bundles = cast(bpy.types.NodesModifier, item.modifiers.new("Hairs", "NODES"))
    bundles.node_group, bundles.show_viewport = bundle_nodes(HAIRS, THIN), False
    return item


def bundle_nodes(hairs: int, thin: float) -> bpy.types.NodeTree:
    """Geometry nodes that put thin hairs into each strand, `thin` times as thick, none further aside than it is."""
    group: Any = bpy.data.node_groups.new("Hairs", "GeometryNodeTree")
    group.is_modifier = True
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")

    def node(kind: str, inputs: dict[Any, Any], **settings: Any) -> Any:
        made = group.nodes.new(kind)
        for name, value in settings.items():
            setattr(made, name, value)
        for name, value in inputs.items():
            if isinstance(value, bpy.types.NodeSocket):
                group.links.new(value, made.inputs[name])
            else:
                made.inputs[name].default_value = value
        return made

    def math_of(operation: str, *values: Any) -> Any:
        return node("ShaderNodeMath", dict(enumerate(values)), operation=operation).outputs[0]

    def scaled(vector: Any, by: Any) -> Any:
        return node("ShaderNodeVectorMath", {0: vector, "Scale": by}, operation="SCALE").outputs[0]

    def chance(seed: int) -> Any:
        number = node("GeometryNodeFieldOnDomain", {0: index}, domain="CURVE", data_type="INT").outputs[0]
        made = node("FunctionNodeRandomValue", {"ID": number, "Seed": seed}, data_type="FLOAT")
        return next(socket for socket in made.outputs if socket.enabled)

    index = node("GeometryNodeInputIndex", {}).outputs[0]
    radius = node("GeometryNodeInputRadius", {}).outputs[0]
    normal = node("GeometryNodeInputNormal", {}).outputs[0]
    tangent = node("GeometryNodeInputTangent", {}).outputs[0]
    along = node("GeometryNodeSplineParameter", {}).outputs["Factor"]
    side = node("ShaderNodeVectorMath", {0: tangent, 1: normal}, operation="CROSS_PRODUCT").outputs[0]
    start = node("NodeGroupInput", {}).outputs[0]
    copies = node("GeometryNodeDuplicateElements", {"Geometry": start, "Amount": hairs}, domain="SPLINE").outputs[0]
    wander = math_of("MULTIPLY", math_of("SUBTRACT", chance(2), 0.5), math_of("MULTIPLY", along, 3.0))
    turn = math_of("ADD", math_of("MULTIPLY", chance(0), 2 * math.pi), wander)
    aside = math_of("MULTIPLY", math_of("SQRT", chance(1)), math_of("MULTIPLY", radius, 1 - thin))
    first, second = (scaled(axis, math_of(way, turn)) for axis, way in ((normal, "COSINE"), (side, "SINE")))
    outward = node("ShaderNodeVectorMath", {0: first, 1: second}, operation="ADD").outputs[0]
    moved = node("GeometryNodeSetPosition", {"Geometry": copies, "Offset": scaled(outward, aside)}).outputs[0]
    thinned = node("GeometryNodeSetCurveRadius", {0: moved, "Radius": math_of("MULTIPLY", radius, thin)}).outputs[0]
    group.links.new(thinned, node("NodeGroupOutput", {}).inputs[0])
    return cast(bpy.types.NodeTree, group)


def key_motion(rig: bpy.types.Object, skeleton: Skeleton, motion: Motion) -> None:
    """Key the performance on the pose bones, one key a frame."""
    rest = np.array([np.array(rig.data.bones[name].matrix_local.to_3x3()) for name in skeleton.names])
    local, locations = to_local(skeleton, rest, motion)
    for index, name in enumerate(skeleton.names):
        bone = rig.pose.bones[name]
        bone.rotation_mode = "QUATERNION"
        last = None
        for frame in range(len(local)):
            quat = Matrix(local[frame, index]).to_quaternion()
            if last is not None and quat.dot(last) < 0:
                quat.negate()
            last = bone.rotation_quaternion = quat
            bone.keyframe_insert("rotation_quaternion", frame=frame + 1)
            if index == 0:
                bone.location = locations[frame]
                bone.keyframe_insert("location", frame=frame + 1)


def camera_azimuths() -> np.ndarray:
    """(FRAMES,) the camera's azimuth about her in degrees, evenly along the orbit."""
    return np.linspace(*ORBIT, FRAMES)


def add_camera(tall: float) -> None:
    """The camera "Camera": orbits, follows her smoothed path, keeps her whole with a margin."""
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    camera.data.sensor_fit = "VERTICAL"
    camera.data.lens = camera.data.sensor_height / 2 / math.tan(math.radians(VERTICAL_FOV) / 2)
    path = plan_path()
    camera.rotation_mode = "QUATERNION"
    for frame, azimuth in enumerate(np.radians(camera_azimuths())):
        # A little behind and ahead in time: the frame glides where the walk bobs.
        nearby = np.linspace(-0.4, 0.4, 9) + frame / FPS
        ground = np.mean([path.position(t) for t in nearby], axis=0)
        target = Vector((*ground, tall * 0.5))
        camera.location = (
            target.x + math.sin(azimuth) * DISTANCE,
            target.y - math.cos(azimuth) * DISTANCE,
            EYE_LEVEL,
        )
        camera.rotation_quaternion = (target - camera.location).to_track_quat("-Z", "Y")
        camera.keyframe_insert("location", frame=frame + 1)
        camera.keyframe_insert("rotation_quaternion", frame=frame + 1)


def add_lights() -> None:
    for name, colour, strength, azimuth, elevation in (
        ("Key", (1.0, 0.93, 0.84), 2.6, -38.0, 48.0),
        ("Fill", (0.82, 0.9, 1.0), 0.7, 120.0, 30.0),
    ):
        lamp = cast(bpy.types.SunLight, bpy.data.lights.new(name, "SUN"))
        lamp.color, lamp.energy, lamp.angle = colour, strength, math.radians(4)
        sun = bpy.data.objects.new(name, lamp)
        bpy.context.scene.collection.objects.link(sun)
        a, e = math.radians(azimuth), math.radians(elevation)
        towards = Vector((math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)))
        sun.rotation_euler = towards.to_track_quat("Z", "Y").to_euler()
        sun.location = towards * 4
    world = bpy.data.worlds.new("World")
    world.use_nodes = True
    background: Any = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.62, 0.63, 0.65, 1)
    bpy.context.scene.world = world


def build_scene() -> Human:
    """Replace Blender's current scene by the demo's; return the person it was built from."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end, scene.render.fps = 1, FRAMES, FPS
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    settings: Any = scene.view_settings
    settings.view_transform = "Standard"

    human = load_human()
    tall = float(human.body.vertices[:, 2].max())
    dress = cut_dress(human)
    cap, strands = grow_hair(human)
    white = (1.0, 1.0, 1.0)
    add_material("Skin", paint_skin(human, dress.covered, GROUND), white, 0.55)
    add_material("Head", paint_head(human), white, 0.5)
    add_material("Eyes", paint_eyes(), white, 0.15)
    add_material("Lashes", None, LASHES, 0.6)
    add_material("Shoes", None, LEATHER, 0.4)
    add_material("Dress", paint_dress(dress.waist, dress.widths, dress.length), white, 0.75)
    add_material("Hair", paint_hair(), white, 0.45)
    add_material("Strands", None, BROWN, 0.45)
    add_material("Band", None, CORAL, 0.6)

    rig = add_armature(human.skeleton)
    parts = [put_on_shoes(human), dress.part, cap]
    for part in parts:
        add_mesh(part, rig, human.skeleton)
    add_strands(strands, rig)
    key_motion(rig, human.skeleton, walk(human.skeleton, camera_azimuths(), SOLE))
    add_camera(tall)
    add_lights()
    scene.frame_set(scene.frame_start)
    return human


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/demo/demo.blend"))
    out = parser.parse_args().out.resolve()
    build_scene()
    out.parent.mkdir(parents=True, exist_ok=True)
    bpy.context.preferences.filepaths.save_version = 0  # no demo.blend1 beside it
    bpy.ops.wm.save_as_mainfile(filepath=str(out), compress=True)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

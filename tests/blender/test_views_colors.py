"""The colours of views: a plane whose material is known, looked at from straight above and from the side."""

from __future__ import annotations

from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from mathutils import Matrix
from paints import Tree

COLOR, PIXELS = (0.6, 0.3, 0.1), 16


@pytest.fixture
def seen(addon, part):
    """Build a material on a plane and look at it: means of radiance and albedo in the middle of the picture."""

    def look(build, tilt: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        bpy.ops.mesh.primitive_plane_add(size=4)
        item = bpy.context.object
        material = bpy.data.materials.new("Paint")
        if bpy.app.version < (5, 0):
            material.use_nodes = True
        item.data.materials.append(material)
        tree = Tree(item)
        tree.color.default_value = (*COLOR, 1)
        build(tree)
        world = bpy.context.scene.world = bpy.data.worlds.new("World")
        nodes = part("compat").node_tree(world).nodes
        nodes["Background"].inputs[0].default_value = (1, 1, 1, 1)
        member = part("export.members").Member(item)
        found = SimpleNamespace(objects=[item], shapes=[member], armature=member)
        viewmat = np.diag([1.0, -1.0, -1.0, 1.0])
        viewmat[2, 3] = 5
        viewmat = viewmat @ np.array(Matrix.Rotation(tilt, 4, "X"))
        K = np.array([[40.0, 0, PIXELS / 2], [0, 40.0, PIXELS / 2], [0, 0, 1]])
        stage = part("views.stage")
        with stage.stage(bpy.context, found, stage.Shape(PIXELS, PIXELS, 32)) as set_up:
            pictures = set_up.shoot(viewmat, K, 5, 1, 0)
        radiance, albedo = (p[6:10, 6:10].astype(np.float64).mean((0, 1)) for p in pictures)
        return radiance, albedo

    return look


def _principled(**inputs):
    def build(tree: Tree) -> None:
        for name, value in inputs.items():
            tree.principled.inputs[name.replace("_", " ")].default_value = value

    return build


def _shader(kind: str, **inputs):
    def build(tree: Tree) -> None:
        node = tree.new(kind)
        for name, value in inputs.items():
            node.inputs[name].default_value = value
        tree.link(node.outputs[0], tree.surface)

    return build


SURFACES = {
    "plain": _principled(Roughness=0.5),
    "skin": _principled(Subsurface_Weight=1.0),
    "metal": _principled(Metallic=1.0, Roughness=0.2),
    "half metal": _principled(Metallic=0.5, Roughness=0.2),
    "glossy": _shader("BsdfAnisotropic", Color=(*COLOR, 1), Roughness=0.2),
    "emission": _shader("Emission", Color=(*COLOR, 1)),
    "translucent": _shader("BsdfTranslucent", Color=(*COLOR, 1)),
    "clear": _shader("BsdfRefraction", Color=(*COLOR, 1)),
    "hair": _shader("BsdfHairPrincipled", Color=(*COLOR, 1)),
}


@pytest.mark.parametrize("name", SURFACES)
def test_albedo_is_the_colour_of_the_surface(seen, name):
    _, albedo = seen(SURFACES[name])
    np.testing.assert_allclose(albedo, (*COLOR, 1), atol=0.05)


@pytest.mark.parametrize("tilt", [0.0, 1.3])
def test_black_plastic_stays_black_though_it_mirrors(seen, tilt):
    radiance, albedo = seen(_principled(Base_Color=(0.002, 0.002, 0.002, 1), Roughness=0.3), tilt)
    assert radiance[0] > 0.03
    assert albedo[:3].max() < 0.03


def test_colours_are_premultiplied_where_a_surface_is_half_clear(seen):
    radiance, albedo = seen(_principled(Alpha=0.5, Specular_IOR_Level=0.0))
    assert 0.4 < albedo[3] == radiance[3] < 0.6
    np.testing.assert_allclose(albedo[:3] / albedo[3], COLOR, atol=0.05)


def test_radiance_is_the_light_that_cycles_sees_and_may_be_more_than_one(seen):
    radiance, albedo = seen(_shader("Emission", Color=(*COLOR, 1), Strength=5.0))
    np.testing.assert_allclose(radiance, (3, 1.5, 0.5, 1), rtol=0.01)
    np.testing.assert_allclose(albedo, (1, 1, 0.5, 1), atol=0.01)
    bpy.context.scene.view_settings.exposure = 3
    bpy.context.scene.cycles.film_exposure = 2
    np.testing.assert_allclose(seen(_shader("Emission", Color=(*COLOR, 1)))[0], (*COLOR, 1), rtol=0.01)

"""An artist's wishes: strength that is keyed, staying near the rig, layers and thickness, gravity of one garment."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_shot
from test_surroundings import hanging

from ani3d_formats.progress import Progress
from ani3d_formats.shot_scene import PULLS
from ani3dhuman.cloth.art_direction import ArtDirection, fabric_of
from ani3dhuman.cloth.character import simulate_shot
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.cloth.scene import surroundings_of
from ani3dhuman.cloth.surroundings import Surroundings
from ani3dhuman.rigid import pose_rigid

SKIRT = 1  # number of the object


@pytest.fixture(scope="module")
def person():
    shot = make_shot(10)
    return shot, pose_rigid(shot, Progress("rigid", 1))


def swung(person, **arrays):
    """How far (T,) the skirt's vertices are from the rigid layer at most, with these arrays in the shot; and all."""
    shot, rigid = person
    shot = replace(shot, arrays=shot.arrays | {name: np.asarray(a, np.float32) for name, a in arrays.items()})
    around = surroundings_of(shot, rigid)
    moved = simulate_shot(shot, rigid, pin_weights(shot), FABRICS["cotton"], surroundings=around)
    rows = shot.meta.objects[SKIRT].rows
    return np.linalg.norm(moved[:, rows] - rigid[:, rows], axis=2).max(1), moved


@pytest.fixture(scope="module")
def free(person):
    return swung(person)


def test_wishes_that_ask_for_nothing_change_no_bit(person, free):
    shot, rigid = person
    plain = simulate_shot(shot, rigid, pin_weights(shot), FABRICS["cotton"])
    np.testing.assert_array_equal(plain, free[1])
    count = len(shot["vertices"])
    asked = swung(person, stay_weights=np.zeros(count), cloth_strength=np.ones(3), cloth_pulls=np.ones((3, len(PULLS))))
    np.testing.assert_array_equal(plain, asked[1])


def test_strength_0_is_the_skeletons_motion_to_the_bit_and_half_of_it_swings_less(person, free):
    none, moved = swung(person, cloth_strength=[1, 0, 1])
    shot, rigid = person
    rows = shot.meta.objects[SKIRT].rows
    np.testing.assert_array_equal(moved[:, rows], rigid[:, rows].astype(np.float32))
    half, _ = swung(person, cloth_strength=[1, 0.5, 1])
    assert none.max() == 0 and half.max() > 0.02 and half.mean() < 0.95 * free[0].mean()


def test_strength_follows_its_keys():
    shot = make_shot(16)  # frames enough for the skirt to fall from its rest shape
    person = shot, pose_rigid(shot, Progress("rigid", 1))
    keys = np.ones((16, 3))
    keys[:7, SKIRT] = [0, 0, 0, 0, 0.25, 0.5, 0.75]
    keyed, _ = swung(person, cloth_strength=keys)
    assert (keyed[:4] == 0).all() and keyed[4] > 0 and keyed[15] > 0.5 * swung(person)[0][15]


def test_stay_keeps_cloth_near_the_rig(person, free):
    count = len(person[0]["vertices"])
    near, _ = swung(person, stay_weights=np.ones(count))
    some, _ = swung(person, stay_weights=np.full(count, 0.4))
    assert near.max() < 0.015 < some.max() < free[0].max()


def test_gravity_can_be_turned_around_for_one_garment():
    wishes = ArtDirection.of_shot(make_shot(2)).part(np.arange(40))
    aside = np.array([0, 9.81, 0])
    way, _ = hanging(Surroundings(gravity=aside, direction=replace(wishes, weight=np.full(40, -1.0))))
    np.testing.assert_allclose(way, [0, -1, 0], atol=0.08)


def test_layers_and_thicknesses_stand_at_every_vertex():
    shot = make_shot(2)
    objects = list(shot.meta.objects)
    objects[SKIRT] = replace(objects[SKIRT], layer=2, thickness=0.004)
    wishes = ArtDirection.of_shot(replace(shot, meta=replace(shot.meta, objects=tuple(objects))))
    rows = objects[SKIRT].rows
    assert (wishes.layer[rows] == 2).all() and wishes.layer.sum() == 2 * objects[SKIRT].vertex_count
    assert np.allclose(wishes.thickness[rows], 0.004)
    part = wishes.part(np.arange(rows.start, rows.start + 5))
    assert (part.layer == 2).all() and len(part.stay) == 5


def test_a_fabric_takes_an_artists_numbers_and_says_what_it_cannot_take():
    item, said = make_shot(2).meta.objects[SKIRT], []
    own = replace(item, fabric="silk", fabric_changes={"bend": 1e-4, "density": 900, "shine": 1}, thickness=0.002)
    fabric = fabric_of(own, FABRICS["wool"], said.append)
    assert fabric == replace(FABRICS["silk"], bend=1e-4, density=20, thickness=0.002)
    assert said == [
        "Object 'Skirt': its density of 900 is taken as 20.",
        "Object 'Skirt': fabrics have no number 'shine', so it changes nothing.",
    ]
    assert fabric_of(item, FABRICS["wool"], said.append) == FABRICS["wool"] and len(said) == 2
    fabric_of(replace(item, fabric="chain mail"), FABRICS["wool"], said.append)
    assert said[2] == "Object 'Skirt': there is no fabric 'chain mail', so it takes the usual one."


def test_the_extension_suggests_the_fabrics_that_there_are():
    text = (Path(__file__).resolve().parents[2] / "blender_addon" / "properties.py").read_text(encoding="utf-8")
    tree = next(n for n in ast.parse(text).body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "FABRICS")
    assert ast.literal_eval(tree.value) == tuple(name for name in FABRICS if name != "hair")

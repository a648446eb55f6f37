"""Recipes and characters: the same from the same seed, splits that share nothing they must not share."""

from __future__ import annotations

import numpy as np
import pytest

from ani3dhuman.pose.keypoints import map_keypoints
from cloth_truth.bodies import make_body
from cloth_truth.character import plan
from cloth_truth.checks import measure
from cloth_truth.garments import CUTS, make_hair
from cloth_truth.patterns import PALETTES, PATTERNS, pattern_tile
from cloth_truth.pools import ALL, SPLITS, draw_recipe, pool

PALETTE_COUNT = len(PALETTES)


def test_a_plan_depends_on_its_seed_alone():
    recipe = draw_recipe("test", 4, 7, PALETTE_COUNT)
    assert recipe == draw_recipe("test", 4, 7, PALETTE_COUNT)
    assert recipe != draw_recipe("test", 4, 8, PALETTE_COUNT)
    first, second = (plan(recipe, frames=4, preroll=4, detail=0.5) for _ in range(2))
    np.testing.assert_array_equal(first.rigid, second.rigid)
    for name, array in first.shot.arrays.items():
        np.testing.assert_array_equal(array, second.shot.arrays[name])


def test_test_sequences_use_nothing_that_training_or_validation_uses():
    recipes = {split: [draw_recipe(split, i, 0, PALETTE_COUNT) for i in range(60)] for split in SPLITS}
    for kind in ("body", "cut", "pattern", "motion", "palette"):
        used = {split: {getattr(recipe, kind) for recipe in recipes[split]} for split in SPLITS}
        assert not used["test"] & (used["train"] | used["validation"]), kind
        if kind not in ("pattern", "palette"):
            assert not used["held_out"] & (used["train"] | used["validation"] | used["test"]), kind
        if kind != "palette":
            assert used["test"] == set(pool(kind, "test"))
            assert set().union(*used.values()) == set(ALL[kind])  # nothing lies unused
            assert used["validation"] - used["train"]  # some of it training has not seen


@pytest.mark.parametrize("cut", CUTS)
def test_every_cut_gives_a_fine_mesh_outside_the_body(cut):
    recipe = draw_recipe("train", 3, 1, PALETTE_COUNT)
    planned = plan(type(recipe)(**{**recipe.as_json(), "cut": cut, "sleeves": False}), frames=2, preroll=2)
    dress = planned.parts[0]
    assert 1200 <= len(dress.vertices) <= 7500
    assert dress.pins.max() == 1 and dress.pins.min() == 0
    edges = dress.vertices[dress.quads[:, 0]] - dress.vertices[dress.quads[:, 1]]
    assert np.linalg.norm(edges, axis=1).min() > 0.002
    bind = np.repeat(dress.vertices[None], 2, 0).astype(np.float32)
    skin = np.repeat(planned.body.vertices[None], 2, 0)
    assert measure([dress], [bind], [bind], skin, planned.body.quads).inside == 0


def test_a_face_holds_every_strand_of_hair():
    body = make_body("pear")
    for seed in range(12):  # where strips are cut is drawn, at the last column now and then
        for kind in ("bob", "curtain", "strips"):
            hair = make_hair(np.random.default_rng(seed), body, kind, detail=1.0)
            assert set(range(len(hair.vertices))) == set(hair.quads.ravel().tolist()), (seed, kind)


def test_a_planned_shot_is_a_human_with_pins_and_a_bind_pose_first():
    planned = plan(draw_recipe("train", 2, 0, PALETTE_COUNT), frames=5, preroll=6, detail=0.5)
    shot = planned.shot
    assert map_keypoints(shot).is_human
    assert shot.frames == 5 and len(planned.rigid) == 11
    np.testing.assert_allclose(planned.rigid[0], shot["vertices"], atol=0.005)  # but for a slight turn
    soles = planned.rigid[:, : planned.starts[0], 2].min(1)
    assert (np.abs(soles) < 0.05).all()  # side steps do not leave the ground
    for t in range(shot.frames):
        pixels, depth = shot.cameras.project(planned.rigid[planned.preroll + t], t)
        assert depth.min() > 1
        assert ((pixels[:, 1] > 0) & (pixels[:, 1] < shot.cameras.height)).mean() > 0.99


@pytest.mark.parametrize("name", PATTERNS)
def test_pattern_tiles_repeat_without_a_seam(name):
    tile = pattern_tile(name, PALETTES[0])[..., :3].astype(float)
    for axis in (0, 1):
        step = np.abs(np.diff(tile, axis=axis)).max()
        seam = np.abs(np.take(tile, 0, axis) - np.take(tile, -1, axis)).max()
        assert seam <= step + 1

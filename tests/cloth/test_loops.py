"""Motion in a circle: cloth ends where it begins; and the ways into a shot."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from synthetic import make_shot
from test_surroundings import grid

from ani3d_formats.progress import Progress
from ani3dhuman.cloth.loops import Cycle, cycle_of, simulated_loop
from ani3dhuman.cloth.pins import pin_weights
from ani3dhuman.cloth.preroll import AT_ONCE, SETTLED
from ani3dhuman.cloth.simulate import simulate
from ani3dhuman.cloth.surroundings import Surroundings
from ani3dhuman.pipeline.settings import CoarseSettings
from ani3dhuman.pipeline.stages import coarse_layer
from ani3dhuman.rigid import pose_rigid


def swaying(frames=16, again=True, drift=0.0):
    """A strip that sways to and fro in `frames` steps and moves on; with its first pose again at the end, if wished."""
    vertices, faces = grid(4, 8)
    vertices = vertices[:, [0, 2, 1]] * np.float32([1, 1, -1])
    t = np.arange(frames + again)
    turns = Rotation.from_rotvec(np.outer(0.4 * np.sin(2 * np.pi * t / frames), [0, 1, 0])).as_matrix()
    clip = vertices @ turns.transpose(0, 2, 1) + np.stack([0 * t, drift * t, 0 * t], 1)[:, None]
    bent = 0.05 * np.sin(2 * np.pi * t / frames)[:, None] * vertices[:, 2] ** 2  # so that poses differ in shape
    clip[..., 1] += bent
    return clip.astype(np.float32), vertices, faces


@pytest.mark.parametrize("drift", [0.0, 0.05])
@pytest.mark.parametrize("again", [True, False])
def test_the_lap_of_a_cycle_is_found(again, drift):
    clip, *_ = swaying(again=again, drift=drift)
    cycle = cycle_of(clip)
    assert isinstance(cycle, Cycle) and cycle.frames == 16
    np.testing.assert_allclose(cycle.offset, [0, 16 * drift, 0], atol=0.01)
    laps = cycle.laps(clip)
    assert len(laps) == 33 and len(cycle.order) == 33
    np.testing.assert_allclose(laps[16], clip[0] + [0, 16 * drift, 0], atol=0.01)


def test_motion_that_ends_elsewhere_is_no_cycle():
    clip, *_ = swaying()
    assert "cm from its first" in cycle_of(clip[:5])
    assert cycle_of(clip[:2]) == "it has 2 frames"


@pytest.mark.parametrize("drift", [0.0, 0.03])
def test_cloth_ends_where_it_begins(drift):
    clip, vertices, faces = swaying(drift=drift)
    pins = np.zeros(len(vertices), np.float32)
    pins[:4] = 1
    said = []
    moved = simulated_loop(
        clip,
        lambda now, frames: simulate(now, faces, vertices, pins, None, 24.0),
        np.ones(len(vertices), bool),
        said.append,
    )
    assert moved.shape == clip.shape and "Loop: after a lap" in said[0]
    np.testing.assert_allclose(moved[-1] - [0, 16 * drift, 0], moved[0], atol=1e-4)
    steps = np.linalg.norm(np.diff(moved, axis=0), axis=2).max(1)
    assert steps.max() < 3 * np.median(steps), "no step at the seam or anywhere"
    plain = simulate(clip, faces, vertices, pins, None, 24.0)
    assert np.abs(plain[-1] - [0, 16 * drift, 0] - plain[0]).max() > 0.003, "which it does not by itself"
    np.testing.assert_allclose(moved[:, :4], clip[:, :4], atol=2e-4)


def test_a_shot_that_is_no_cycle_says_so_and_is_simulated_as_ever():
    shot = make_shot(6)
    rigid, pins = pose_rigid(shot, Progress("rigid", 1)), pin_weights(shot)
    layers = [
        coarse_layer(shot, rigid, pins, CoarseSettings(loop=loop), Progress("cloth", 12)) for loop in (True, False)
    ]
    assert any("does not loop" in text for text in layers[0].warnings) and layers[1].warnings == []
    np.testing.assert_array_equal(layers[0].vertices, layers[1].vertices)


def test_ways_into_a_shot():
    """A strip held level: it hangs when it has settled or come from rest, and is level where there is no way in."""
    vertices, faces = grid(4, 8)
    pins = np.zeros(len(vertices), np.float32)
    pins[:4] = 1
    clip = np.repeat(vertices[None], 2, 0)
    heights = {
        way: simulate(clip, faces, vertices, pins, Surroundings(way_in=way), 24.0)[0, -4:, 2].mean()
        for way in ("rest", SETTLED, AT_ONCE)
    }
    assert heights[AT_ONCE] == 0 and heights["rest"] < -0.2 and heights[SETTLED] < -0.25

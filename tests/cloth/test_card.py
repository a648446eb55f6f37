"""The card's substeps in warp's kernels, run on warp's CPU device: near the CPU's results, and nothing crosses."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_shot, tube
from test_cloth_strands import hair, turning
from test_contact import covered, crossings_of, crumpled, pairs_nearer_than, stack
from wardrobe import body, head, rows, sheet

from ani3d_formats.progress import Progress
from ani3dhuman.cloth import kernels, solver
from ani3dhuman.cloth.character import simulate_shot
from ani3dhuman.cloth.contact.touch import CROSSED, DONE, DUE, empty_lists
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.mend import MAX_STRETCH
from ani3dhuman.cloth.pins import find_pins
from ani3dhuman.cloth.simulate import simulate
from ani3dhuman.cloth.steps import steps_on, why_not
from ani3dhuman.cloth.surroundings import Surroundings
from ani3dhuman.device import Compute
from ani3dhuman.mesh.surface import Obstacle
from ani3dhuman.mesh.topology import edges_of
from ani3dhuman.pipeline.job import Job
from ani3dhuman.pipeline.moving import cloth_device, coarse_layer, rigid_layer
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.rigid import pose_rigid

wp = pytest.importorskip("warp")

from ani3dhuman.cloth.card.colors import in_colors
from ani3dhuman.cloth.card.memory import Memory
from ani3dhuman.cloth.card.steps import DeviceSteps
from ani3dhuman.cloth.card.touch import DeviceContact

FPS = 24.0


@pytest.fixture
def both(monkeypatch):
    """Calls a function twice: as the CPU advances cloth, and as warp's CPU device does."""

    def run(simulated):
        here = simulated()
        with monkeypatch.context() as patch:
            patch.setattr(solver, "steps_on", lambda device: DeviceSteps("cpu"))
            return here, simulated()

    return run


def ratios(moved, rest, faces):
    pairs = edges_of(faces)
    return np.linalg.norm(moved[:, pairs[:, 0]] - moved[:, pairs[:, 1]], axis=2) / np.linalg.norm(
        rest[pairs[:, 0]] - rest[pairs[:, 1]], axis=1
    )


def apart(here, there):
    """Mean distance in millimetres."""
    return 1000 * np.linalg.norm(here - there, axis=2).mean()


def near_each_other(here, there, rest, faces, within):
    """Whether two results are within so many mm on average, hold their edges alike and cross alike: not at all."""
    assert np.isfinite(there).all() and 0 < apart(here, there) < within
    mine, theirs = ratios(here, rest, faces), ratios(there, rest, faces)
    np.testing.assert_allclose(np.percentile(theirs, [1, 99]), np.percentile(mine, [1, 99]), atol=0.02)
    assert theirs.max() < MAX_STRETCH + 1e-3
    for frames in (here, there):
        assert not crossings_of(frames[-1].astype(np.float32), faces)


def test_a_cloth_that_hangs_by_two_corners(both):
    """The CPU's own result goes .1 to .3 mm when its vertices are numbered otherwise."""
    rest, faces = sheet([[0, 0, 1], [0.4, 0, 1], [0, 0, 0.6], [0.4, 0, 0.6]], 12, 12)
    pins = np.zeros(len(rest), np.float32)
    pins[[0, 11]] = 1
    sway = 0.05 * np.sin(np.arange(10) / 3)[:, None, None] * np.float32([0, 1, 0])
    skinned = (rest + sway).astype(np.float32)
    here, there = both(lambda: simulate(skinned, faces, rest, pins, None, FPS, FABRICS["cotton"]))
    near_each_other(here, there, rest, faces, within=1.0)


def test_two_layers_on_a_body_that_sways(both):
    """The CPU's own result goes about 4 mm when its vertices are numbered otherwise."""
    one, faces = tube(np.full(10, 0.2), np.linspace(1, 0.6, 10))
    rest = np.concatenate([one, one * np.float32([1.02, 1.02, 1])])
    faces = np.concatenate([faces, faces + len(one)]).astype(np.int64)
    pins = (rest[:, 2] > 0.99).astype(np.float32)
    solid, solid_faces = tube(np.full(10, 0.15), np.linspace(1.2, 0.3, 10))
    sway = (0.08 * np.sin(np.arange(10) / 2))[:, None, None] * np.float32([1, 0.5, 0])
    obstacle = Obstacle((solid + sway).astype(np.float32), solid_faces)
    skinned = (rest + sway).astype(np.float32)
    here, there = both(lambda: simulate(skinned, faces, rest, pins, Surroundings(obstacle), FPS))
    near_each_other(here, there, rest, faces, within=8.0)
    deepest = [min(obstacle.at(t).heights(x[t][pins < 0.5])[0].min() for t in range(10)) for x in (here, there)]
    assert min(deepest) > 0.003, "of 6 mm that cloth keeps from the body"


def test_a_sheet_of_hair_folds_as_it_does_on_the_cpu(both):
    rest, faces = sheet([[0, 0, 1], [0.2, 0, 1], [0, 0, 0.6], [0.2, 0, 0.6]], 9, 15)
    pins = (rest[:, 2] > 0.99).astype(np.float32)
    sway = 0.08 * np.sin(np.arange(10) / 2)[:, None, None] * np.float32([1, 1, 0])
    skinned = (rest + sway).astype(np.float32)
    here, there = both(lambda: simulate(skinned, faces, rest, pins, None, FPS, FABRICS["hair"]))
    near_each_other(here, there, rest, faces, within=4.0)


def test_strands_swing_as_they_do_on_the_cpu(both):
    shot = turning({"Body": body(), "Head": head(), "Hair": hair(0.4, 12)}, 10)
    rigid = pose_rigid(shot, Progress("rigid", shot.frames))
    here, there = both(lambda: simulate_shot(shot, rigid, find_pins(shot).weights, FABRICS["generic"]))
    own = rows(shot, "Hair")
    assert apart(here[:, own], there[:, own]) < 0.1 * apart(here[:, own], rigid[:, own])


def test_the_body_pushes_each_particle_as_on_the_cpu(monkeypatch):
    """Particles that nothing holds together: the same arithmetic, so the same place."""
    solid, solid_faces = tube(np.full(12, 0.15), np.linspace(1.2, 0.3, 12))
    rng = np.random.default_rng(0)
    angle, height, radius = (rng.uniform(*ends, 300) for ends in ((0, 6.28), (0.4, 1.1), (0.13, 0.17)))
    around = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], 1)
    rest = np.concatenate([around, [[5, 0, 0], [5, 0, 1], [5, 1, 0]]]).astype(np.float32)
    pins = np.where(np.arange(303) < 300, 0.1, 1).astype(np.float32)
    obstacle = Obstacle(np.stack([solid, solid + np.float32([0.02, 0, 0])]).astype(np.float32), solid_faces)
    monkeypatch.setattr("ani3dhuman.cloth.constraints.small_loose_parts", lambda edges, pinned: pinned)
    monkeypatch.setattr(solver, "brought_out", lambda x, *given: (x, False, given[-1]))
    skinned, faces, frames = np.repeat(rest[None], 2, 0), np.array([[300, 301, 302]]), []
    once = replace(FABRICS["generic"], substeps=1)
    for make in (steps_on, lambda device: DeviceSteps("cpu")):
        monkeypatch.setattr(solver, "steps_on", make)
        scene = Surroundings(obstacle, way_in="none")
        frames.append(simulate(skinned, faces, rest, pins, scene, FPS, once))
    moved, off = np.abs(frames[0] - skinned).max((0, 2)), np.abs(frames[0] - frames[1]).max((0, 2))
    assert np.median(moved) > 0.005
    assert (off < 1e-5).mean() > 0.9, "rounding decides whether a place that pushed by just enough is touched again"


class Contact:
    """Cloth of `covered` on the device."""

    def __init__(self, cover):
        self.cover, self.lists, self.memory = cover, empty_lists(cover), Memory("cpu")
        self.contact = DeviceContact(self.memory)

    def touch(self, x0, x, base, h=0.001, phase=DONE):
        """One step, in place; its phase."""
        mobile = self.cover.inv_mass.copy()
        state = kernels.State(x, np.zeros_like(x), x0, base, mobile)
        for name, values in (("x", x), ("began", x0), ("previous", base)):
            self.memory.send(name, values, wp.vec3)
        for name in ("mobile", "inv_mass"):
            self.memory.send(name, mobile, float)
        rub = np.full(len(x), 0.3, np.float32)
        fabric = kernels.Fabric(rub, rub, 9.81, rub, rub, rub, rub[:0])
        self.contact.send(self.cover, fabric)
        done = self.contact.hold_apart(phase, h, np.zeros(3), state, self.cover, self.lists)
        x[:], base[:] = self.memory.there["x"].numpy(), self.memory.there["previous"].numpy()
        return done


@pytest.mark.parametrize("seed", range(2))
def test_whatever_a_step_wants_nothing_crosses(seed):
    x, faces = stack(3, 0.003)
    rng, there = np.random.default_rng(seed), Contact(covered(x, faces))
    for step in range(3):
        x0 = x.copy()
        x = (x0 + rng.normal(size=x.shape) * 0.02).astype(np.float32)
        wanted = x.copy()
        assert there.touch(x0, x, x0.copy()) == DONE
        assert not crossings_of(x, faces), step
        assert np.abs(x - wanted).max() > 0.001 and np.isfinite(x).all()


def test_every_pair_within_reach_is_listed_and_every_crossing_found():
    rest, x, faces = crumpled(1)
    there = Contact(covered(rest, faces))
    there.touch(x.copy(), x.copy(), x.copy())
    assert there.lists.clock[CROSSED] == len(crossings_of(x, faces)) > 0
    flat, faces = stack(2, 0.002)
    there = Contact(covered(flat, faces))
    there.touch(flat.copy(), flat.copy(), flat.copy())
    pairs, count = there.contact.pairs, there.contact.listed
    kinds, at = pairs.kind.numpy()[:count], pairs.at.numpy()[:count]
    listed = {
        (k, *sorted((tuple(sorted(a[: 1 + k])), tuple(sorted(a[1 + k :])))))
        for k, a in zip(kinds, at.tolist(), strict=True)
    }
    near = pairs_nearer_than(0.0039, [flat], faces)
    assert len(near) > 100
    assert len(listed) == count >= len(near)


def test_what_has_blown_up_is_told_before_anything_else_is_done():
    x, faces = stack(2, 0.003)
    there, x0 = Contact(covered(x, faces)), x.copy()
    assert there.touch(x0, x.copy(), x0.copy()) == DONE
    x[3] = np.nan
    assert there.touch(x0, x, x0.copy()) == DUE


def test_constraints_of_one_colour_share_no_particle_that_moves():
    faces = sheet([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], 9, 9)[1]
    spokes = np.stack([np.zeros(100, int), np.arange(81, 181)], 1)  # all at one vertex: more than one word of colours
    pairs = np.concatenate([edges_of(faces.astype(np.int64)), spokes])
    free = np.arange(181) % 7 > 0
    free[0] = True
    order, colors = in_colors(pairs, free)
    assert sorted(order) == list(range(len(pairs))) and sum(count for _, count in colors) == len(pairs)
    for first, count in colors:
        used = pairs[order[first : first + count]].ravel()
        used = used[free[used]]
        assert len(np.unique(used)) == len(used)


def test_the_cpu_needs_no_warp(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("ani3dhuman.cloth.card")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "warp", None)
    rest, faces = sheet([[0, 0, 1], [0.4, 0, 1], [0, 0, 0.6], [0.4, 0, 0.6]], 4, 4)
    skinned, pins = np.repeat(rest[None], 2, 0), (rest[:, 2] > 0.99).astype(np.float32)
    assert np.isfinite(simulate(skinned, faces, rest, pins, None, FPS)).all()
    with pytest.raises(ImportError):
        steps_on("cuda:0")
    assert "warp" in why_not("cuda:0")


def test_a_card_that_warp_cannot_use_is_said_and_the_cpu_takes_its_place(tmp_path):
    job = Job(make_shot(2), Settings.from_dict({"device": "cuda:77"}), tmp_path, None, lambda: False)
    job.__dict__["compute"] = Compute("cuda:77")
    assert cloth_device(job) == "cpu"
    assert len(job.warnings) == 1 and job.warnings[0].startswith("Cloth was solved on the CPU: warp cannot use cuda:77")


def test_a_job_solves_cloth_where_it_is_told_and_keeps_that_apart(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("ani3dhuman.pipeline.moving.why_not", lambda device: "")
    monkeypatch.setattr(solver, "steps_on", lambda device: asked.append(device) or steps_on("cpu"))
    keys = []
    for device in ("cpu", "cuda:0"):
        job = Job(make_shot(2), Settings.from_dict({"device": device}), tmp_path / device[:4], None, lambda: False)
        job.__dict__["compute"] = Compute(device)
        keys.append(coarse_layer(job, rigid_layer(job)).key)
    assert set(asked) == {"cpu", "cuda:0"} and keys[0] != keys[1]

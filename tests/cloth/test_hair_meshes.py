"""Hair that is a mesh, cards or tubes: it keeps its length, comes back to its style, and its tips do not tremble."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from synthetic import tube
from wardrobe import Piece, body, head, rows, sheet, wear

from ani3d_formats.progress import Progress
from ani3d_formats.regions import HAIR
from ani3dhuman.cloth.character import simulate_shot
from ani3dhuman.cloth.constraints import Constraints
from ani3dhuman.cloth.fabrics import FABRICS, LOCK
from ani3dhuman.cloth.garment import Garment
from ani3dhuman.cloth.hair_meshes import worn_hair
from ani3dhuman.cloth.pins import find_pins
from ani3dhuman.cloth.simulate import simulate
from ani3dhuman.cloth.solver import run
from ani3dhuman.cloth.surroundings import Surroundings
from ani3dhuman.cloth.worn import Worn
from ani3dhuman.mesh.surface import Obstacle
from ani3dhuman.rigid import pose_rigid

RINGS, FRAMES, LENGTH = 10, 84, 0.3
CENTRE = np.array([0, 0, 1.6])


def locks(corners, count=4):
    """Locks that leave the back of the head and hang down; `corners` 2 makes flat cards, more make tubes."""
    parts, faces = [], []
    t = np.linspace(0, 1, RINGS)[:, None]
    around = np.arange(corners) / corners * 2 * np.pi
    for number, angle in enumerate(np.linspace(-0.6, 0.6, count)):
        out, side = np.array([np.sin(angle), np.cos(angle), 0]), np.array([np.cos(angle), -np.sin(angle), 0])
        middle = CENTRE + out * (0.105 + 0.03 * np.minimum(4 * t, 1)) - LENGTH * t**1.3 * [0, 0, 1]
        ring = 0.012 * (np.cos(around)[:, None] * side + np.sin(around)[:, None] * out)
        parts.append((middle[:, None] + ring).reshape(-1, 3))
        row, k = (a.ravel() for a in np.meshgrid(np.arange(RINGS - 1), np.arange(max(corners - (corners == 2), 1))))
        a = (number * RINGS + row) * corners
        first, second = a + k, a + (k + 1) % corners
        faces += [np.stack([first, second, first + corners], 1)]
        faces += [np.stack([second, second + corners, first + corners], 1)]
    return Piece(np.concatenate(parts).astype(np.float32), np.concatenate(faces), HAIR, bone=2)


def thrown(corners, surroundings):
    """Centre lines (T,K,RINGS,3) simulated and as the skeleton has them: the head turns in five frames, and stays."""
    shot = wear({"Body": body(), "Head": head(), "Hair": locks(corners)}, FRAMES)
    for t in range(FRAMES):
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler("z", 1.2 * min(t / 5, 1)).as_matrix()
        shot["bone_pose"][t] = shot["bone_rest"]
        shot["bone_pose"][t, 2] = turn @ shot["bone_rest"][2]
    rigid = pose_rigid(shot, Progress("rigid", FRAMES))
    warnings: list[str] = []
    moved = simulate_shot(
        shot, rigid, find_pins(shot).weights, FABRICS["generic"], None, warnings.append, surroundings=surroundings
    )
    assert not warnings
    return [v[:, rows(shot, "Hair")].reshape(FRAMES, -1, RINGS, corners, 3).mean(3) for v in (moved, rigid)]


@pytest.mark.parametrize("corners", [2, 6])
def test_locks_keep_their_length_and_their_tips_settle(corners):
    line, stiff = thrown(corners, Surroundings())
    lengths, rest = (np.linalg.norm(np.diff(v, axis=2), axis=3).sum(2) for v in (line, stiff))
    np.testing.assert_allclose(lengths / rest, 1, atol=0.01)
    speed = 24 * np.sqrt((np.diff(line[:, :, -1], axis=0) ** 2).sum(-1).mean(1))
    assert speed[:12].max() > 0.3 and speed[-12:].max() < 0.01, "metres a second, root mean square over tips"


@pytest.mark.parametrize("corners", [2, 6])
def test_locks_come_back_to_their_style_without_gravity(corners):
    line, stiff = thrown(corners, Surroundings(gravity=np.zeros(3)))
    off = np.linalg.norm(line - stiff, axis=3)[:, :, -1].mean(1)
    assert off[:12].max() > 0.04 and off[-1] < 0.1 * off[:12].max()


def test_long_open_sheets_hang_and_all_other_hair_keeps_its_style():
    long, faces = sheet([[0, 0, 1], [0.2, 0, 1], [0, 0, 0.6], [0.2, 0, 0.6]], 9, 15)
    short = long * np.float32([1, 1, 0.3])
    round_, around = tube(np.full(10, 0.02), np.linspace(1, 0.6, 10))
    rest = np.concatenate([long, short + np.float32([1, 0, 0.7]), round_ + np.float32([2, 0, 0])])
    every = np.concatenate([faces, faces + len(long), around + 2 * len(long)])
    pins = (rest[:, 2] > 0.99).astype(np.float32)
    worn = worn_hair(Garment(every, rest, pins))
    of_sheet = [worn.fabrics[k] == FABRICS["hair"] for k in worn.number]
    np.testing.assert_array_equal(of_sheet, np.arange(len(rest)) < len(long))
    assert worn_hair(Garment(around, round_, pins[-len(round_) :])).fabrics == (LOCK,), "as many substeps as locks need"


def tilted(fabric, frames=60):
    """A sheet of hair (T,P,3) whose head turns by 60 degrees in half a second, and its rest pose (P,3)."""
    rest, faces = sheet([[0, -0.06, 0], [0, 0.06, 0], [0, -0.06, -0.35], [0, 0.06, -0.35]], 13, 21)
    pins = (rest[:, 2] > -0.01).astype(np.float32)
    turn = Rotation.from_euler("y", np.radians(60) * np.minimum(np.arange(frames) / 12, 1)[:, None])
    skinned = np.stack([one.apply(rest) for one in turn]).astype(np.float32)
    worn = Worn.of(fabric, len(rest), hair=True)
    args = Constraints.of_mesh(faces, rest, pins), pins, None, 24.0, worn
    return run(skinned, rest, *args), rest


def test_a_long_sheet_hangs_down_from_a_tilted_head_where_a_lock_leans_with_it():
    lean = {}
    for name, fabric in (("sheet", FABRICS["hair"]), ("lock", LOCK)):
        moved, rest = tilted(fabric)
        tips = rest[:, 2] < -0.34
        lean[name] = abs(moved[-1, tips, 0].mean()) / 0.35
    assert lean["sheet"] < 0.5 < 0.7 < lean["lock"], "shares of its length; 0.87 is rigid"


def test_what_pushes_hair_does_not_make_it_tremble():
    """A shoulder is pushed into hair, and stays there."""
    rest, faces = sheet([[-0.08, 0, 1], [0.08, 0, 1], [-0.08, 0, 0.6], [0.08, 0, 0.6]], 21, 33)
    pins = (rest[:, 2] > 0.95).astype(np.float32)
    ring, solid = tube(np.full(12, 0.06), np.linspace(-0.3, 0.3, 12))
    shoulder = ring[:, [2, 1, 0]] + np.float32([0, 0.075, 0.75])
    way = np.minimum(np.arange(72) / 12, 1)[:, None, None] * np.float32([0, -0.05, 0])
    obstacle = Obstacle(np.ascontiguousarray(shoulder + way, np.float32), np.ascontiguousarray(solid[:, ::-1]))
    skinned = np.repeat(rest[None], 72, 0).astype(np.float32)
    speed = {}
    for jolt in (FABRICS["hair"].jolt, np.inf):
        fabric = replace(FABRICS["hair"], jolt=jolt)
        moved = simulate(skinned, faces, rest, pins, Surroundings(obstacle), 24.0, fabric)
        speed[jolt] = 24 * np.sqrt((np.diff(moved[-12:], axis=0) ** 2).sum(-1).mean())
    assert speed[FABRICS["hair"].jolt] < 0.8 * speed[np.inf] < 0.05, "metres a second"

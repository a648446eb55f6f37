"""Hair that is a mesh, cards or tubes: it keeps its length, comes back to its style, and its tips do not tremble."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from wardrobe import Piece, body, head, rows, wear

from ani3d_formats.progress import Progress
from ani3d_formats.regions import HAIR
from ani3dhuman.cloth.character import simulate_shot
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.pins import find_pins
from ani3dhuman.cloth.surroundings import Surroundings
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

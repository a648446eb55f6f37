"""Hair strands swing from their roots, keep their length and width, and stay out of the head."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from synthetic import tube
from wardrobe import HEADS, Piece, body, head, rows, skirt, wear

from ani3d_formats.hair_ribbons import ribbons
from ani3d_formats.progress import Progress
from ani3d_formats.regions import BODY, HAIR
from ani3dhuman.cloth import strands
from ani3dhuman.cloth.character import simulate_shot
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.pins import find_pins
from ani3dhuman.cloth.surroundings import Surroundings
from ani3dhuman.mesh.surface import Obstacle
from ani3dhuman.rigid import pose_rigid

POINTS, FRAMES = 10, 20
CENTRE = np.array([0, 0, 1.6])


def hair(length: float, strands: int = 40) -> Piece:
    """Strands that leave the back of the head and hang down."""
    angle = np.linspace(-1, 1, strands)
    out = np.stack([np.sin(angle), np.cos(angle), np.zeros(strands)], 1)
    t = np.linspace(0, 1, POINTS)[None, :, None]
    points = CENTRE + out[:, None] * (0.105 + 0.03 * np.minimum(4 * t, 1)) - length * t**1.3 * [0, 0, 1]
    vertices, faces = ribbons(points, np.linspace(0.003, 0.001, POINTS)[None] * np.ones((strands, 1)))
    return Piece(vertices.astype(np.float32), faces, HAIR, bone=2, strands=POINTS)


def turning(pieces, frames: int = FRAMES):
    """Nothing but the head moves: it turns to the side within five frames, and stays."""
    shot = wear(pieces, frames)
    for t in range(frames):
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_euler("z", 1.2 * min(t / 5, 1)).as_matrix()
        shot["bone_pose"][t] = shot["bone_rest"]
        shot["bone_pose"][t, 2] = turn @ shot["bone_rest"][2]
    return shot


def simulated(shot):
    rigid = pose_rigid(shot, Progress("rigid", shot.frames))
    warnings: list[str] = []
    moved = simulate_shot(shot, rigid, find_pins(shot).weights, FABRICS["generic"], None, warnings.append)
    return moved, rigid, warnings


def middles(vertices, shot):
    own = vertices[:, rows(shot, "Hair")]
    return ((own[:, 0::2] + own[:, 1::2]) / 2).reshape(len(vertices), -1, POINTS, 3)


def test_roots_are_pinned_and_the_next_points_half():
    shot = turning({"Body": body(), "Head": head(), "Hair": hair(0.3)}, 2)
    found = find_pins(shot)
    pins = found.weights[rows(shot, "Hair")].reshape(-1, POINTS, 2)
    assert not found.unheld
    np.testing.assert_array_equal(pins[:, :4], np.broadcast_to(np.array([1, 0.5, 0.25, 0])[None, :, None], (40, 4, 2)))
    assert (pins[:, 4:] == 0).all()


def test_long_hair_lags_behind_the_head_and_comes_to_rest():
    shot = turning({"Body": body(), "Head": head(), "Hair": hair(0.35)}, 48)
    moved, rigid, warnings = simulated(shot)
    assert not warnings and np.isfinite(moved).all()
    line, stiff = middles(moved, shot), middles(rigid, shot)
    np.testing.assert_allclose(line[:, :, 0], stiff[:, :, 0], atol=1e-5)

    def angle(points):
        mean = points[:, :, -1].mean(1)
        return np.unwrap(np.arctan2(mean[:, 1], mean[:, 0]))

    behind = np.abs(angle(line) - angle(stiff))
    assert behind[4] > 0.15 and behind[-4:].max() < 0.5 * behind[:10].max()


def test_strands_keep_their_length_and_ribbons_their_width():
    shot = turning({"Body": body(), "Head": head(), "Hair": hair(0.3)})
    moved, *_ = simulated(shot)
    line, rest = middles(moved, shot), middles(shot["vertices"][None], shot)
    length = np.linalg.norm(np.diff(line, axis=2), axis=3)
    np.testing.assert_allclose(length / np.linalg.norm(np.diff(rest, axis=2), axis=3), 1, atol=0.01)
    own = moved[:, rows(shot, "Hair")].reshape(FRAMES, -1, POINTS, 2, 3)
    width = np.linalg.norm(own[..., 1, :] - own[..., 0, :], axis=-1)
    np.testing.assert_allclose(width, np.broadcast_to(np.linspace(0.003, 0.001, POINTS), width.shape), rtol=0.02)
    along = np.diff(line, axis=2)
    along /= np.linalg.norm(along, axis=3, keepdims=True)
    side = (own[..., 1, :] - own[..., 0, :]) / width[..., None]
    assert np.abs((along * side[:, :, 1:]).sum(-1)).mean() < 0.1, "square to the strand"


def test_strands_stay_out_of_the_head():
    shot = turning({"Body": body(), "Head": head(), "Hair": hair(0.3)})
    moved, *_ = simulated(shot)
    inside = (middles(moved, shot)[:, :, 3:] - CENTRE) / [0.1, 0.1, 0.12]
    assert np.linalg.norm(inside, axis=-1).min() > 0.95


def test_short_hair_keeps_its_style():
    """Long hair falls, a fringe stands as it was cut once the head is still again."""
    moved, rigid, _ = simulated(shot := turning({"Body": body(), "Head": head(), "Hair": hair(0.06)}, 40))
    tips = np.linalg.norm(middles(moved, shot) - middles(rigid, shot), axis=3)[:, :, -1]
    assert tips[6:10].max() > 0.01 and tips[-1].mean() < 0.015


def curls(turns: float, radius: float = 0.03, strands: int = 6) -> Piece:
    """Springs of hair that stand out to the back of the head."""
    t = np.linspace(0, 1, POINTS)
    angle = turns * 2 * np.pi * t
    side = np.linspace(-0.05, 0.05, strands)[:, None]
    curl = [side + radius * np.sin(angle), 0.11 + 0.15 * t + 0 * side, radius * (np.cos(angle) - 1) + 0 * side]
    points = CENTRE + np.stack(curl, -1)
    vertices, faces = ribbons(points, np.linspace(0.003, 0.001, POINTS)[None] * np.ones((strands, 1)))
    return Piece(vertices.astype(np.float32), faces, HAIR, bone=2, strands=POINTS)


def test_bend_and_twist_come_back_to_the_style_without_gravity():
    """The head turns by 70 degrees in five frames and stops: the curls are thrown aside, and come back as they were."""
    shot = turning({"Body": body(), "Head": head(), "Hair": curls(1.2)}, 72)
    rigid = pose_rigid(shot, Progress("rigid", shot.frames))
    weightless = Surroundings(gravity=np.zeros(3))
    moved = simulate_shot(shot, rigid, find_pins(shot).weights, FABRICS["generic"], surroundings=weightless)
    off = np.linalg.norm(middles(moved, shot) - middles(rigid, shot), axis=3)[:, :, -1].mean(1)
    assert off[:10].max() > 0.02 and off[-1] < 0.1 * off[:10].max()


@pytest.mark.parametrize("length", [0.1, 0.35])
def test_tips_settle_and_do_not_tremble(length):
    shot = turning({"Body": body(), "Head": head(), "Hair": hair(length)}, 120)
    line = middles(simulated(shot)[0], shot)
    speed = 24 * np.sqrt((np.diff(line[:, :, -1], axis=0) ** 2).sum(-1).mean(1))
    assert speed[:10].max() > 0.1 and speed[-24:].max() < 0.005, "metres a second, root mean square over tips"


def test_strands_beyond_the_guides_move_as_if_they_were_simulated(monkeypatch):
    shot = turning({"Body": body(), "Head": head(), "Hair": hair(0.3, 60)})
    painted = np.full(len(shot["vertices"]), -1, np.float32)
    painted[rows(shot, "Hair")] = find_pins(shot).weights[rows(shot, "Hair")]
    painted[rows(shot, "Hair")].reshape(60, -1)[7] = 1  # one that the artist holds
    shot.arrays["pin_weights"] = painted
    every, rigid, _ = simulated(shot)
    monkeypatch.setattr(strands, "MOST", 12)
    few, *_ = simulated(shot)
    line, whole, stiff = (middles(v, shot) for v in (few, every, rigid))
    np.testing.assert_allclose(line[:, :, 0], stiff[:, :, 0], atol=1e-5)
    np.testing.assert_allclose(line[:, 7], stiff[:, 7], atol=1e-5)
    swing = np.linalg.norm(whole - stiff, axis=3)[:, :, 5:].mean()
    assert np.linalg.norm(line - whole, axis=3)[:, :, 5:].mean() < 0.3 * swing


def test_hair_meshes_strands_and_garments_go_together():
    """Strands beside a head of hair made of cards, and a skirt: all move, none counts as the other's body."""
    card = Piece(*(a.copy() for a in (hair(0.3).vertices, hair(0.3).faces)), HAIR, bone=2)
    pieces = {"Body": body(), "Head": head(), "Hair": hair(0.3), "Cards": card, "Skirt": skirt(0.03)}
    progress = Progress("cloth", 2 * FRAMES)
    shot = wear(pieces, FRAMES)
    rigid = pose_rigid(shot, Progress("rigid", FRAMES))
    moved = simulate_shot(shot, rigid, find_pins(shot).weights, FABRICS["generic"], progress)
    assert progress.step == progress.total
    for name in ("Hair", "Cards", "Skirt"):
        assert np.abs(moved - rigid)[:, rows(shot, name)].max() > 0.01, name


@pytest.mark.parametrize("change", [{"region": BODY}, {"bone": 1}])
def test_strands_of_the_body_follow_the_skeleton(change):
    """Fur that is labelled body does not swing; hair on another bone hangs on that one."""
    shot = turning({"Body": body(), "Head": head(), "Hair": replace(hair(0.3), **change)})
    moved, rigid, _ = simulated(shot)
    own = rows(shot, "Hair")
    if "region" in change:
        np.testing.assert_array_equal(moved[:, own], rigid[:, own])
    else:
        np.testing.assert_allclose(middles(moved, shot)[:, :, 0], middles(rigid, shot)[:, :, 0], atol=1e-5)


def test_strands_of_a_head_that_is_hidden_by_its_size_follow_it():
    shot = turning({"Body": body(), "Head": head(), "Hair": hair(0.3)})
    shrunk = np.diag([1e-4, 1e-4, 1e-4, 1])
    shrunk[:3, 3] = HEADS[2]
    shot["bone_pose"][10:, 2] = shrunk
    moved, rigid, warnings = simulated(shot)
    np.testing.assert_allclose(middles(moved, shot), middles(rigid, shot), atol=1e-5)
    assert len(warnings) == 1 and "'Hair'" in warnings[0] and "size" in warnings[0]


def test_a_strand_that_leads_into_the_body_is_turned_out_of_it_and_keeps_its_length():
    body, faces = tube(np.full(12, 0.1), np.linspace(0.5, -0.5, 12))
    line = np.zeros((2, 1, 8, 3), np.float32)
    line[..., 0] = np.linspace(0.13, 0.02, 8)  # from beside it inwards
    line[..., 2] = np.linspace(0.1, 0, 8)
    long = np.linalg.norm(np.diff(line[0, 0], axis=0), axis=1)
    free = np.arange(8)[None] > 0
    moved = line.copy()
    strands.keep_out(moved, free, Obstacle(np.repeat(body[None], 2, 0), faces))
    assert np.linalg.norm(moved[..., :2], axis=3).min() > 0.098  # a polygon of 20 sides
    np.testing.assert_allclose(np.linalg.norm(np.diff(moved[1, 0], axis=0), axis=1), long, rtol=1e-4)
    np.testing.assert_array_equal(moved[:, :, 0], line[:, :, 0])


def test_a_strand_that_leads_straight_into_a_head_is_led_along_it():
    z = np.linspace(1, -1, 13)
    head, faces = tube(0.1 * np.sqrt(1 - 0.999 * z**2), 0.1 * z)
    line = np.array([0.02, 0.01, 0.1]) * np.linspace(1.05, -0.2, 8)[:, None]
    moved = np.repeat(line[None, None], 2, 0).astype(np.float32)
    free = np.arange(8)[None] > 0
    body = Obstacle(np.repeat(head[None], 2, 0).astype(np.float32), faces)
    strands.keep_out(moved, free, body)
    assert body.at(0).heights(moved[0, 0])[0].min() > 0
    lengths = np.linalg.norm(np.diff(moved[0, 0], axis=0), axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(np.diff(line, axis=0), axis=1), rtol=1e-4)

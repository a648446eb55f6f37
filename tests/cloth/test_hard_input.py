"""What artists' files hold by mistake: cloth comes out whole, or one sentence says what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import tube
from wardrobe import Piece, body, head, rows, sheet, skirt, wear

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress
from ani3d_formats.regions import BODY
from ani3d_formats.shot import Shot
from ani3d_formats.shot_scene import Collider
from ani3dhuman.cloth import solver
from ani3dhuman.cloth.character import foretold, sentences, simulate_shot
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.pins import find_pins
from ani3dhuman.cloth.scene import surroundings_of
from ani3dhuman.cloth.simulate import simulate
from ani3dhuman.mesh.topology import edges_of
from ani3dhuman.rigid import pose_rigid


def simulated(shot, pins=None, progress=None):
    """Moved and rigid vertices (T,V,3), and what was said."""
    rigid = pose_rigid(shot, Progress("rigid", shot.frames))
    found, said = find_pins(shot), []
    weights = found.weights if pins is None else pins
    moved = simulate_shot(shot, rigid, weights, FABRICS["cotton"], progress, said.append)
    return moved, rigid, sentences(shot, found.unheld) + said


def dressed(frames=8, change=lambda piece: piece):
    return wear({"Body": body(), "Head": head(), "Skirt": change(skirt(0.05))}, frames)


def longest(moved, rest, faces):
    """The longest edge of all frames over its length at rest; edges of no length are left out."""
    edges = edges_of(faces)
    length = np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1)
    edges, length = edges[length > 1e-6], length[length > 1e-6]
    return float((np.linalg.norm(moved[:, edges[:, 0]] - moved[:, edges[:, 1]], axis=2) / length).max())


def own_faces(shot, name):
    own = rows(shot, name)
    faces = shot["faces"]
    return faces[((faces >= own.start) & (faces < own.stop)).all(1)]


def with_flat_faces(piece):
    """Every fifth face again as a line, as a point, and as a line of three different vertices."""
    some = piece.faces[::5]
    line = np.stack([some[:, 0], some[:, 1], some[:, 1]], 1)
    middle = (piece.vertices[some[:, 0]] + piece.vertices[some[:, 1]]) / 2
    straight = np.stack([some[:, 0], len(piece.vertices) + np.arange(len(some)), some[:, 1]], 1)
    faces = np.concatenate([piece.faces, line, some[:, [2, 2, 2]], straight])
    return replace(piece, vertices=np.concatenate([piece.vertices, middle]), faces=faces.astype(np.int32))


def with_coincident_vertices(piece):
    """Half of the vertices moved onto a neighbour: edges and faces of no size all over the mesh."""
    vertices = piece.vertices.copy()
    vertices[1::6] = vertices[0::6][: len(vertices[1::6])]
    return replace(piece, vertices=vertices)


@pytest.mark.parametrize("change", [with_flat_faces, with_coincident_vertices])
def test_faces_without_area_and_vertices_in_one_place_do_no_harm(change):
    shot = dressed(8, change)
    moved, rigid, said = simulated(shot)
    own = rows(shot, "Skirt")
    assert np.isfinite(moved).all() and not said
    assert longest(moved, shot["vertices"], own_faces(shot, "Skirt")) < 1.35
    assert np.linalg.norm(moved - rigid, axis=2)[:, own].max() > 0.01, "it swings all the same"


def test_faces_twice_and_inside_out_leave_the_cloth_as_lively():
    plain = dressed(12)
    own = rows(plain, "Skirt")
    moved, rigid, _ = simulated(plain)
    both = dressed(12, lambda p: replace(p, faces=np.concatenate([p.faces, p.faces[:, ::-1]])))
    again, _, said = simulated(both)
    swing = [np.sqrt(((v - rigid)[:, own] ** 2).sum(2).mean()) for v in (moved, again)]
    assert not said and longest(again, both["vertices"], own_faces(both, "Skirt")) < 1.25
    assert 0.7 < swing[1] / swing[0] < 1.4


@pytest.mark.parametrize("frames", [1, 2])
def test_a_shot_may_have_one_frame_or_two(frames):
    shot = dressed(frames)
    moved, rigid, said = simulated(shot)
    assert moved.shape == rigid.shape and np.isfinite(moved).all() and not said
    assert longest(moved, shot["vertices"], own_faces(shot, "Skirt")) < 1.25


def test_a_garment_that_is_pinned_everywhere_is_the_rigid_layer_and_nothing_is_said():
    shot = dressed(4)
    moved, rigid, said = simulated(shot, np.ones(len(shot["vertices"]), np.float32))
    np.testing.assert_array_equal(moved, rigid)
    assert not said


def test_a_pose_that_is_not_a_number_is_refused_by_name():
    arrays = dict(dressed(3).to_arrays())
    arrays["bone_pose"] = arrays["bone_pose"].copy()
    arrays["bone_pose"][1, 0, 0, 3] = np.nan
    with pytest.raises(Ani3DError) as error:
        Shot.from_arrays(arrays)
    assert error.value.code == "shot.not_finite" and "bone_pose" in error.value.message and error.value.hint


def test_what_nothing_holds_is_said_by_its_name():
    far = Piece(*sheet([[0.6, 0.9, 1.2], [1, 0.9, 1.2], [0.6, 0.9, 0.9], [1, 0.9, 0.9]]))
    shot = wear({"Body": body(), "Head": head(), "Towel": far}, 6)
    moved, _, said = simulated(shot)
    assert np.isfinite(moved).all()
    assert len(said) == 1 and "'Towel'" in said[0] and "nothing holds it" in said[0]


def ball(radius=0.15, rows_=17):
    z = np.linspace(1, -1, rows_)
    return tube(radius * np.sqrt(1.0004 - z**2), 0.8 + radius * z)


def plane(size=0.5):
    corners = [[-size, size, 0.95], [size, size, 0.95], [-size, -size, 0.95], [size, -size, 0.95]]
    return sheet(corners, 9, 9)


def shell():
    """The upper half of the ball, open below."""
    points, faces = ball()
    return points, faces[points[faces][:, :, 2].min(1) > 0.78]


COLLIDERS = {"ball": ball, "plane": plane, "shell": shell}


def fallen(name, inverted, frames=30):
    """A sheet held at its corners that falls onto a collider: its free vertices (T,P,3), and what is said."""
    points, faces = COLLIDERS[name]()
    cloth, own = sheet([[-0.3, 0.3, 1.02], [0.3, 0.3, 1.02], [-0.3, -0.3, 1.02], [0.3, -0.3, 1.02]], 21, 21)
    stone, stone_faces = ball(0.05)
    worn = {
        "Body": Piece(stone + np.float32([0, 1, 0.5]), stone_faces, BODY, bone=0),
        "Sheet": Piece(cloth, own, bone=0),
    }
    shot = wear(worn, frames)
    shot = replace(
        shot,
        meta=replace(shot.meta, colliders=(Collider("Thing", 0, len(points)),)),
        arrays=shot.arrays
        | {
            "bone_pose": np.repeat(shot["bone_rest"][None], frames, 0),
            "collider_vertices": points.astype(np.float32),
            "collider_faces": np.ascontiguousarray(faces[:, ::-1] if inverted else faces),
            "collider_poses": np.eye(4, dtype=np.float32)[None],
        },
    )
    rigid, said = pose_rigid(shot, Progress("rigid", frames)), []
    pins = np.ones(len(shot["vertices"]), np.float32)
    free = np.delete(np.arange(441), [0, 20, 420, 440]) + len(stone)
    pins[free] = 0
    around = surroundings_of(shot, rigid, True, said.append)
    return simulate_shot(shot, rigid, pins, FABRICS["cotton"], None, said.append, around)[:, free], said


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("name", COLLIDERS)
def test_cloth_lies_on_a_collider_whatever_its_faces_are_like(name, inverted):
    moved, said = fallen(name, inverted)
    last = moved[-1]
    assert np.isfinite(moved).all() and not said
    if name == "plane":
        assert last[:, 2].min() > 0.949
    else:
        top = last[np.linalg.norm(last[:, :2], axis=1) < 0.1]
        assert np.linalg.norm(top - [0, 0, 0.8], axis=1).min() > 0.148


def test_what_takes_minutes_is_said_before_it_starts():
    assert foretold(5000, 64) == ""
    assert "1,000,000 free vertices will take about 104 minutes" in foretold(1_000_000, 125)


def test_a_cancel_is_heard_within_a_frame(monkeypatch):
    """Whoever asks is heard after so many particles and substeps, whatever a frame takes."""
    monkeypatch.setattr(solver, "AT_ONCE", 500)
    vertices, faces = tube(np.full(16, 0.3), np.linspace(1, 0.5, 16))
    pins = (vertices[:, 2] > 0.99).astype(np.float32)
    asked = []
    progress = Progress("cloth", 2, should_cancel=lambda: len(asked) > 40 or bool(asked.append(progress.step)))
    with pytest.raises(Cancelled):
        simulate(np.repeat(vertices[None], 2, 0), faces, vertices, pins, None, 24.0, progress=progress)
    assert set(asked) == {0}  # still in the way in

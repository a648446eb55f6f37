"""Whatever cloth is given, it stays with the body: held where it would be fastened, or rigid with a warning."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import tube
from wardrobe import HEADS, Piece, along_x, arm, body, cape, hand, head, rows, sheet, skirt, sleeve, split, wear

from ani3d_formats.pins import nearest_of_all, pin_weights
from ani3d_formats.progress import Progress
from ani3d_formats.regions import BODY
from ani3dhuman.cloth.character import sentences, simulate_shot
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.cloth.garment import Pieces
from ani3dhuman.cloth.pins import find_pins
from ani3dhuman.mesh.topology import edges_of
from ani3dhuman.pipeline.coarse import coarse_layers
from ani3dhuman.pipeline.job import Job
from ani3dhuman.pipeline.settings import Settings
from ani3dhuman.rigid import pose_rigid

FRAMES = 12
PERSON = {"Body": body(), "Head": head(), "Hand": hand(), "Arm": arm()}
ARMLESS = {"Body": body(), "Head": head(), "Hand": hand()}


def simulated(shot, pins=None):
    """Distance (T,P) of each vertex to its rigid place, simulated and rigid vertices, and the warnings."""
    rigid = pose_rigid(shot, Progress("rigid", shot.frames))
    found, warnings = find_pins(shot), []
    weights = found.weights if pins is None else pins
    moved = simulate_shot(shot, rigid, weights, FABRICS["generic"], None, warnings.append)
    return np.linalg.norm(moved - rigid, axis=2), moved, rigid, sentences(shot, found.unheld) + warnings


def button(place):
    tiny, faces = tube(np.array([0.01, 0.01]), np.array([0.01, -0.01]))
    return Piece((tiny + np.float32(place)).astype(np.float32), faces)


@pytest.mark.parametrize("away", [0.01, 0.06, 0.1])
@pytest.mark.parametrize("bone", [1, None])
def test_a_cape_hangs_from_its_collar(away, bone):
    shot = wear(PERSON | {"Cape": cape(away, bone)}, FRAMES)
    pins, own = find_pins(shot).weights, rows(shot, "Cape")
    collar = shot["vertices"][own][:, 2] > 1.39
    assert pins[own][collar].min() > 0.9 and (pins[own][shot["vertices"][own][:, 2] < 1.1] == 0).all()
    off, moved, rigid, warnings = simulated(shot)
    assert off[:, own][:, collar].max() < 0.02 and not warnings
    assert off[:, own].max() > 0.05, "it swings"
    assert moved[:, own, 2].max() < rigid[:, own, 2].max() + 0.05, "but not over the head"


@pytest.mark.parametrize("away", [0.005, 0.03, 0.05, 0.1])
def test_a_skirt_whose_band_is_off_the_waist_stays_up(away):
    shot = wear(PERSON | {"Skirt": skirt(away)}, FRAMES)
    off, moved, rigid, warnings = simulated(shot)
    own = rows(shot, "Skirt")
    band = np.arange(own.start, own.start + 20)
    assert off[:, band].max() < 0.01 and not warnings
    assert off[:, own].max() > 0.01 and abs(moved[:, own, 2].mean() - rigid[:, own, 2].mean()) < 0.05


@pytest.mark.parametrize("piece", [cape(), skirt(0.05)])
def test_a_mesh_split_at_every_edge_moves_as_the_whole_one(piece):
    """Games' formats split meshes at seams and hard edges."""
    whole, parts = (wear(PERSON | {"Piece": p}, FRAMES) for p in (piece, split(piece)))
    pins = [find_pins(shot).weights[rows(shot, "Piece")] for shot in (whole, parts)]
    np.testing.assert_allclose(pins[1], pins[0][piece.faces].ravel(), atol=1e-6)
    moved = [simulated(shot)[1][:, rows(shot, "Piece")] for shot in (whole, parts)]
    corners = moved[0][:, piece.faces].reshape(FRAMES, -1, 3)
    assert np.median(np.linalg.norm(moved[1] - corners, axis=2)) < 0.02  # another order of the same constraints
    first = np.unique(piece.faces.ravel(), return_index=True)[1]
    same = moved[1][:, first][:, piece.faces].reshape(FRAMES, -1, 3)
    np.testing.assert_allclose(moved[1], same, atol=1e-5)  # corners of one vertex stay together


def test_a_sleeve_without_an_arm_is_the_arm_and_one_with_an_arm_is_cloth():
    empty, worn = wear(ARMLESS | {"Sleeve": sleeve()}, FRAMES), wear(PERSON | {"Sleeve": sleeve()}, FRAMES)
    pins = [find_pins(shot).weights[rows(shot, "Sleeve")] for shot in (empty, worn)]
    assert pins[0].mean() > 0.6 and pins[0].min() > 0.3
    off, *_, warnings = simulated(empty)
    assert np.percentile(off[:, rows(empty, "Sleeve")], 90) < 0.05 and not warnings
    assert pins[1].mean() < 0.5 and pins[1].max() == 1, "with an arm beneath it is held at the arm, and hangs"


def test_a_flat_skirt_is_held_all_around_the_waist():
    flat = Piece(*tube(np.linspace(0.16, 0.45, 10), np.linspace(1.02, 1.0, 10)))
    shot = wear(PERSON | {"Tutu": flat}, FRAMES)
    pins = find_pins(shot).weights[rows(shot, "Tutu")].reshape(10, 20)
    assert pins[0].min() > 0.9 and pins[6:].max() == 0


def test_a_cape_with_bones_of_its_own_is_no_limb():
    """Bones in the plane of a cape move no skin either."""
    chain = cape(0.05)
    weights = np.zeros((len(chain.vertices), 6), np.float32)
    weights[:, 4] = 1  # the forearm's bone, laid into the cape below
    shot = wear(ARMLESS | {"Cape": chain}, FRAMES)
    shot["weight_values"][rows(shot, "Cape")] = weights
    shot["bone_parents"][5] = 1  # the hand no longer hangs on it
    shot["bone_rest"][4, :3, :] = [[1, 0, 0, 0], [0, 0, 1, 0.2], [0, -1, 0, 1.3]]
    shot["bone_lengths"][4] = 0.8
    pins = find_pins(shot).weights[rows(shot, "Cape")]
    assert (pins < 0.1).mean() > 0.6 and pins.max() == 1


def test_a_button_goes_with_the_cloth_it_lies_on():
    place = [0, -0.36, 0.55]
    shot = wear(PERSON | {"Skirt": skirt(0.05), "Button": button(place)}, FRAMES)
    off, moved, _, warnings = simulated(shot)
    assert not warnings
    own, cloth = rows(shot, "Button"), rows(shot, "Skirt")
    near = cloth.start + np.argsort(np.linalg.norm(shot["vertices"][cloth] - place, axis=1))[:8]
    gap = np.linalg.norm(moved[:, own].mean(1) - moved[:, near].mean(1), axis=1)
    assert np.ptp(gap) < 0.01 < off[:, near].max()


def test_what_is_sewn_to_a_patch_goes_with_the_patch():
    """A cloth that rolls up, a patch on it, and single triangles on the patch and beside it."""
    cloth, faces = sheet([[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0.5, 0.5, 0]], 26, 26)
    patch, patch_faces = sheet([[0.1, 0.1, 0.01], [0.2, 0.1, 0.01], [0.1, 0.2, 0.01], [0.2, 0.2, 0.01]], 4, 4)
    triangle = np.array([[0, 0, -0.005], [0.015, 0, 0.005], [0, 0.015, 0]])
    parts = [cloth, patch, *(triangle + np.array([at, at, 0.01]) for at in (0.18, 0.4))]
    starts = np.cumsum([0, *map(len, parts)])
    rest = np.concatenate(parts).astype(np.float32)
    all_faces = np.concatenate([faces, patch_faces + starts[1], [[0, 1, 2]] + starts[2], [[0, 1, 2]] + starts[3]])
    pins = np.zeros(len(rest), np.float32)
    pins[:26] = 1
    pieces = Pieces.of_mesh(all_faces, rest, pins)
    bend = np.linspace(0, 6, 5)[:, None] * rest[:, 0]
    moved = np.stack([0.2 * np.sin(bend), np.broadcast_to(rest[:, 1], bend.shape), 0.2 * np.cos(bend)], 2)
    moved = moved.astype(np.float32)
    carriers = pieces.carriers()
    for frame in moved:
        pieces.carry(carriers, frame)
    between = np.linalg.norm(moved[:, starts[1] : starts[2], None] - moved[:, None, starts[2] : starts[3]], axis=-1)
    np.testing.assert_allclose(between[1:], np.broadcast_to(between[1:2], between[1:].shape), atol=1e-5)
    alone = moved[:, starts[3] :].mean(1) - moved[:, starts[1] : starts[2]].mean(1)
    assert np.ptp(np.linalg.norm(alone, axis=1)) > 0.02  # goes with the cloth that it lies on


@pytest.mark.parametrize(
    ("name", "piece"),
    [
        ("Cape", cape(0.4)),
        ("Skirt", skirt(0.3)),
        ("Button", button([0.6, 0.6, 0.8])),
        ("Flag", Piece(*sheet([[1.5, 0, 2], [2, 0, 2], [1.5, 0, 1.6], [2, 0, 1.6]]), bone=5)),
    ],
)
def test_what_nothing_holds_follows_the_skeleton_and_is_named(name, piece):
    shot = wear(PERSON | {name: piece, "Worn": skirt(0.03)}, FRAMES)
    off, *_, warnings = simulated(shot)
    assert off[:, rows(shot, name)].max() < 1e-5 and off[:, rows(shot, "Worn")].max() > 0.01
    assert len(warnings) == 1 and f"'{name}': nothing holds it; it follows the skeleton" in warnings[0]


def test_only_the_part_that_is_not_held_is_rigid():
    far = cape(0.5)
    near = cape(0.05)
    joined = Piece(
        np.concatenate([near.vertices, far.vertices]),
        np.concatenate([near.faces, far.faces + len(near.vertices)]),
        bone=1,
    )
    off, *_, warnings = simulated(shot := wear(PERSON | {"Capes": joined}, FRAMES))
    own = off[:, rows(shot, "Capes")]
    assert own[:, : len(near.vertices)].max() > 0.05 and own[:, len(near.vertices) :].max() < 1e-5
    assert "a part of it; that part follows" in warnings[0] and len(warnings) == 1


def test_painted_pins_are_kept_and_what_they_leave_loose_is_held():
    shot = wear(PERSON | {"Cape": cape(), "Skirt": skirt(0.05)}, FRAMES)
    painted = np.full(len(shot["vertices"]), -1, np.float32)
    painted[rows(shot, "Cape")] = np.where(shot["vertices"][rows(shot, "Cape"), 2] > 1.3, 1, 0.1)
    painted[rows(shot, "Skirt")] = 0  # painted with nothing that holds
    shot.arrays["pin_weights"] = painted
    pins = find_pins(shot).weights
    np.testing.assert_array_equal(pins[rows(shot, "Cape")], painted[rows(shot, "Cape")])
    assert (pins[rows(shot, "Skirt")][:20] == 1).all() and (pins[rows(shot, "Skirt")][-20:] == 0).all()


def test_a_band_on_a_belt_is_held_by_the_belt():
    """A skirt too far from the waist, but not from a thick belt, be it cloth that is held or part of the body."""
    belt = Piece(*tube(np.array([0.125, 0.14, 0.14, 0.125]), np.array([0.96, 0.95, 0.9, 0.89])))
    hung = Piece(*tube(np.linspace(0.275, 0.45, 10), np.linspace(0.93, 0.4, 10)))
    for worn in (belt, replace(belt, region=BODY, bone=0)):
        shot = wear(PERSON | {"Belt": worn, "Skirt": hung}, FRAMES)
        found = find_pins(shot)
        assert not found.unheld and found.weights[rows(shot, "Skirt")][:20].min() == 1
    assert find_pins(wear(PERSON | {"Skirt": hung}, FRAMES)).unheld


@pytest.mark.parametrize("sizes", [np.r_[np.ones(7), np.zeros(5)], np.r_[0, np.ones(11)], np.linspace(0.01, 1, 12)])
def test_cloth_of_a_character_whose_size_is_animated_follows_it(sizes):
    shot = wear(PERSON | {"Skirt": skirt(0.03), "Cape": cape()}, FRAMES, sizes)
    off, moved, _, warnings = simulated(shot)
    assert off.max() < 1e-5 and np.isfinite(moved).all()
    assert sorted(text[:14] for text in warnings) == ["Object 'Cape':", "Object 'Skirt'"]
    assert all("the size of it is animated" in text for text in warnings)


def test_a_character_scaled_throughout_keeps_its_cloth_in_proportion():
    shot = wear(PERSON | {"Skirt": skirt(0.03)}, FRAMES, np.full(FRAMES, 2.0))
    off, moved, rigid, warnings = simulated(shot)
    own = rows(shot, "Skirt")
    assert not warnings and 0.01 < off[:, own].max() < 0.8

    edges = edges_of(skirt(0.03).faces) + own.start

    def lengths(vertices):
        return np.linalg.norm(vertices[:, edges[:, 0]] - vertices[:, edges[:, 1]], axis=2).mean()

    assert lengths(moved) == pytest.approx(lengths(rigid), rel=0.03)


def test_a_piece_that_falls_off_is_put_back():
    """Pins given by a caller that hold nothing, and no body beneath."""
    shot = wear(PERSON | {"Cape": cape(0.4), "Worn": skirt(0.03)}, 48)
    pins = find_pins(shot).weights.copy()
    pins[rows(shot, "Cape")] = 0
    off, *_, warnings = simulated(shot, pins)
    assert off[:, rows(shot, "Cape")].max() < 1e-5 and off[:, rows(shot, "Worn")].max() > 0.01
    assert any("'Cape': nothing keeps it on the body; it follows the skeleton" in text for text in warnings)


@pytest.mark.parametrize("frame", [1, 6])
def test_cloth_goes_along_when_the_character_jumps_to_another_place(frame):
    """As where the cycles of a walk are repeated, or a shot is cut: the same cloth, in another place and direction."""
    shot = wear(PERSON | {"Cape": cape(), "Skirt": skirt(0.03)}, FRAMES)
    still = shot["bone_pose"][:1].repeat(FRAMES, 0)
    shot["bone_pose"][:] = still
    away = np.eye(4, dtype=np.float32)
    away[:3, :3], away[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], [3, -2, 1]
    quiet = simulated(shot)[0]
    shot["bone_pose"][frame:] = away @ still[frame:]
    off, *_, warnings = simulated(shot)
    assert not warnings
    np.testing.assert_allclose(off, quiet, atol=0.01)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")
def test_a_piece_that_jumps_out_of_the_world_is_put_back_and_the_others_go_on():
    shot = wear(PERSON | {"Cape": cape(), "Skirt": skirt(0.03)}, FRAMES)
    rigid = pose_rigid(shot, Progress("rigid", FRAMES))
    rigid[9, rows(shot, "Cape").start] += np.float32(1e30)  # a collar vertex, pinned
    warnings = []
    moved = simulate_shot(shot, rigid, find_pins(shot).weights, FABRICS["generic"], None, warnings.append)
    own = rows(shot, "Cape")
    np.testing.assert_array_equal(moved[:, own], rigid[:, own])
    assert np.isfinite(moved).all() and np.abs(moved - rigid)[:, rows(shot, "Skirt")].max() > 0.01
    assert len(warnings) == 1 and "'Cape'" in warnings[0]


def test_an_object_has_the_fabric_that_the_shot_names():
    def bottom(fabric):
        shot = wear(PERSON | {"Cape": replace(cape(), fabric=fabric), "Skirt": skirt(0.03)}, FRAMES)
        moved = simulated(shot)[1]
        return moved[:, rows(shot, "Cape")], moved[:, rows(shot, "Skirt")]

    plain, denim, wool, unknown = (bottom(fabric) for fabric in ("", "denim", "wool", "tweed"))
    assert np.abs(plain[0] - denim[0]).max() > 0.01 and np.abs(wool[0] - denim[0]).max() > 0.01
    np.testing.assert_array_equal(plain[0], unknown[0])


def test_the_body_does_not_come_through_coarse_cloth_between_its_vertices():
    places, faces = sheet([[-0.2, 0.15, 1.4], [0.2, 0.15, 1.4], [-0.3, 0.15, 0.5], [0.3, 0.15, 0.5]], 7, 4)
    shot = wear(PERSON | {"Cape": Piece(places, faces, bone=1)}, FRAMES)
    moved = simulated(shot)[1][:, rows(shot, "Cape")]
    back = np.linalg.inv(shot["bone_pose"][:, 0])
    rest = shot["bone_rest"][0]
    for t, frame in enumerate(moved):
        middles = np.concatenate([frame[faces[:, [0, 1]]].mean(1), frame[faces].mean(1)])
        own = (np.c_[middles, np.ones(len(middles))] @ back[t].T) @ rest.T  # where the body stands at rest
        beside = np.hypot(own[:, 0], own[:, 1])
        assert beside[own[:, 2] < 1.3].min() > 0.116, "the trunk is 12 cm thick, with 20 sides"


def test_pins_of_a_character_of_any_size_are_the_same():
    shot = wear(PERSON | {"Cape": cape(), "Skirt": skirt(0.03), "Sleeve": sleeve()}, 4)
    reference = pin_weights(shot.arrays, nearest_of_all)
    for scale in (0.01, 100):
        sized = {k: v * np.float32(scale) for k, v in shot.arrays.items() if k in ("vertices", "bone_lengths")}
        rest = shot["bone_rest"].copy()
        rest[:, :3, 3] *= scale
        weights = pin_weights(shot.arrays | sized | {"bone_rest": rest}, nearest_of_all)
        np.testing.assert_allclose(weights, reference, atol=0.02)  # human size has no one height
        assert (weights[reference == 1] == 1).mean() > 0.95


def test_the_warning_reaches_report_and_listener_also_when_the_stage_is_found_finished(tmp_path):
    shot = wear(PERSON | {"Cape": cape(0.4), "Skirt": skirt(0.03)}, 4, np.array([1, 1, 1, 0.01]))
    settings = Settings.from_dict({"preset": "draft", "gaussians": 300, "render_scale": 0.3})
    for _ in range(2):
        heard = []
        job = Job(shot, settings, tmp_path, heard.append, lambda: False)
        coarse_layers(job)
        assert ["'Cape': nothing holds it" in job.warnings[0], "'Skirt': the size of it" in job.warnings[1]] == [
            True
        ] * 2
        assert [r.message for r in heard if r.stage == "warning"] == job.warnings
    assert "cloth" in job.store.reused


def test_the_wardrobe_stands_as_it_should():
    """The arm's bones lie in the arm, and its tube is turned outwards."""
    limb = arm()
    normals = np.cross(*(limb.vertices[limb.faces[:, k]] - limb.vertices[limb.faces[:, 0]] for k in (1, 2)))
    away = limb.vertices[limb.faces].mean(1) - HEADS[3]
    assert ((normals * away)[:, 1:].sum(1) > 0).all()
    assert along_x(np.array([[0, 0, -0.2]]), HEADS[3])[0] == pytest.approx(HEADS[3] + [0.2, 0, 0], abs=1e-6)

"""Regions from names and geometry together, on a figure of simple shapes: 1.75 m high, at the origin, facing -y."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ani3d_formats.regions import BODY, FACE, GARMENT, HAIR
from blender_addon.regions.guess import UNSURE, Piece, guess_regions, vertex_labels
from blender_addon.regions.heads import head_bones

HIPS, CHEST, HEAD = range(3)
HEADS = np.array([False, False, True])


def piece(name, points, triangles, bones, materials=(), slots=None, simulated=False) -> Piece:
    points, triangles = np.asarray(points, float), np.asarray(triangles, int).reshape(-1, 3)
    indices = np.broadcast_to(np.asarray(bones), len(points)).reshape(-1, 1)
    slots = np.zeros(len(triangles), int) if slots is None else np.asarray(slots)
    return Piece(name, tuple(materials), points, triangles, slots, indices, np.ones((len(points), 1)), simulated)


def tube(low, high, bottom, top, rings=12, around=24, capped=False, turn=2 * np.pi):
    """A wall around the z axis from `low` to `high`, its radius going from `bottom` to `top`."""
    heights, radii = np.linspace(low, high, rings), np.linspace(bottom, top, rings)
    angles = np.linspace(0, turn, around, endpoint=turn < 6)
    points = [(r * np.sin(a), r * np.cos(a), z) for z, r in zip(heights, radii, strict=True) for a in angles]
    closed = turn > 6
    faces = []
    for ring in range(rings - 1):
        for i in range(around if closed else around - 1):
            a, b = ring * around + i, ring * around + (i + 1) % around
            faces += [(a, b, b + around), (a, b + around, a + around)]
    if capped:
        for ring, z in ((0, low), (rings - 1, high)):
            points.append((0, 0, z))
            faces += [(ring * around + i, ring * around + (i + 1) % around, len(points) - 1) for i in range(around)]
    return np.array(points), np.array(faces)


def ball(radius, middle, low=-1.0, high=1.0):
    """A sphere around (0, 0, middle), from the height `low` to `high` of its radius."""
    up = np.linspace(low, high, 14)
    around = 20
    flat = np.sqrt(np.maximum(1 - up**2, 0)) * radius
    points, faces = [], []
    for ring, (z, r) in enumerate(zip(up, flat, strict=True)):
        points += [(r * np.sin(a), r * np.cos(a), middle + radius * z) for a in np.linspace(0, 6.2832, around, False)]
        if ring:
            for i in range(around):
                a, b = (ring - 1) * around + i, (ring - 1) * around + (i + 1) % around
                faces += [(a, b, b + around), (a, b + around, a + around)]
    return np.array(points), np.array(faces)


def joined(*shapes):
    count, points, faces = 0, [], []
    for own, triangles in shapes:
        points.append(own)
        faces.append(triangles + count)
        count += len(own)
    return np.concatenate(points), np.concatenate(faces)


def body() -> Piece:
    """Trunk and head in one mesh of no telling name; the head is the ball on top."""
    trunk, head = tube(0, 1.45, 0.14, 0.14, 30, capped=True), ball(0.12, 1.62)
    bones = np.r_[np.where(trunk[0][:, 2] < 0.9, HIPS, CHEST), np.full(len(head[0]), HEAD)]
    return piece("Mesh.001", *joined(trunk, head), bones)


def guess(*others, scale=1.0, named=None):
    """The first guess of each piece beside the body."""
    pieces = [named or body(), *others]
    pieces = [replace(each, vertices=each.vertices * scale) for each in pieces]
    return [found[0] for found in guess_regions(pieces, HEADS)[1:]]


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_a_sheet_with_a_free_edge_below_the_hips_is_a_garment(scale):
    (found,) = guess(piece("Plane.003", *tube(0.4, 0.95, 0.35, 0.16), HIPS), scale=scale)
    assert found.region == GARMENT
    assert "free edge" in found.reason
    assert found.confidence < UNSURE  # the panel asks


def test_a_limb_without_a_name_is_no_garment():
    """A figure in open pieces: what no other skin moves with is the limb itself."""
    legs = piece("Mesh.002", *tube(0.1, 0.85, 0.16, 0.2), HIPS)
    trunk = piece("Mesh.003", *tube(0.85, 1.45, 0.2, 0.14), CHEST)
    feet = piece("Mesh.004", *tube(0.0, 0.1, 0.2, 0.16), 3)
    found = guess_regions([legs, trunk, feet], np.zeros(4, bool))
    assert [each[0].region for each in found] == [BODY, BODY, BODY]


def test_an_unnamed_piece_tight_to_the_skin_is_body():
    (found,) = guess(piece("Plane.003", *tube(0.4, 0.95, 0.144, 0.144), HIPS))
    assert (found.region, found.reason) == (BODY, "tight to the skin")


def test_long_thin_cards_held_by_the_head_are_hair_and_a_cap_is_not():
    cards = []
    for turn in np.linspace(0, 5, 8):
        points, faces = tube(1.4, 1.7, 0.15, 0.13, 6, 2, turn=0.15)
        spin = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        cards.append((points @ spin.T, faces))
    found = guess(piece("Object.007", *joined(*cards), HEAD), piece("Object.008", *ball(0.125, 1.62, 0.2), HEAD))
    assert [each.region for each in found] == [HAIR, BODY]


def test_what_the_head_holds_and_closes_over_the_skull_is_no_cloth():
    hood = piece("Hood", *ball(0.14, 1.62, -0.7), HEAD)
    on_chest = replace(hood, weight_indices=np.full_like(hood.weight_indices, CHEST))
    veil = piece("Veil", *joined(ball(0.14, 1.62, 0.1), tube(1.0, 1.63, 0.3, 0.14, turn=4.0)), HEAD)
    found = guess(hood, on_chest, veil)
    assert [each.region for each in found] == [BODY, GARMENT, GARMENT]
    assert found[0].reason == "held by the head and closed over the skull"


def test_a_cape_of_one_bone_is_a_garment_and_a_sword_is_not():
    cape = piece("Cape", *tube(0.3, 1.4, 0.5, 0.16, turn=2.0), CHEST)
    sword = piece("Sword", *tube(0.3, 1.4, 0.02, 0.02, capped=True), CHEST)
    assert [each.region for each in guess(cape, sword)] == [GARMENT, BODY]


def test_a_cloth_modifier_says_garment_where_the_name_says_nothing():
    sheet = piece("Plane", *tube(1.0, 1.2, 0.3, 0.3), CHEST, simulated=True)
    assert guess(sheet)[0].region == GARMENT
    assert guess(replace(sheet, name="Ponytail"))[0].region == HAIR


def test_strands_are_hair_whatever_they_are_called():
    ribbons = replace(piece("Emitter", *tube(1.4, 1.7, 0.15, 0.13, 6, 2, turn=0.15), HEAD), strands=True)
    assert guess(ribbons)[0].region == HAIR


def test_a_figure_of_one_mesh_is_body_whatever_it_is_called():
    (found,) = guess_regions([replace(body(), name="Dress_Girl", materials=("Dress",))], HEADS)[0]
    assert found.region == BODY


def test_materials_speak_for_their_faces_and_the_surer_name_wins():
    one = body()
    worn = one.vertices[one.triangles].mean(axis=1)[:, 2] < 0.8
    dressed = replace(one, name="Person", materials=("Skin", "Skirt"), slots=worn.astype(int))
    guesses = guess_regions([dressed], HEADS)[0]
    assert [(g.slot, g.region) for g in guesses] == [("Skin", BODY), ("Skirt", GARMENT)]
    labels = vertex_labels(dressed, {g.slot: g.region for g in guesses}, HEADS)
    heights = dressed.vertices[:, 2]
    assert set(labels[heights < 0.7]) == {GARMENT}
    assert set(labels[(heights > 0.9) & (heights < 1.4)]) == {BODY}
    assert set(labels[heights > 1.5]) == {FACE}  # the head holds it
    shirt = piece("Ch36_Shirt", *tube(0.9, 1.4, 0.17, 0.16), CHEST, ["Ch36_Body"])
    assert guess(shirt)[0].region == GARMENT  # makers share one material


def test_slots_beyond_the_last_count_as_the_last():
    sheet = piece("Plane", *tube(0.4, 0.9, 0.3, 0.2), HIPS, ["Skin", "Skirt"])
    sheet = replace(sheet, slots=np.full(len(sheet.triangles), 7))
    assert [(g.slot, g.region) for g in guess_regions([body(), sheet], HEADS)[1]] == [("Skirt", GARMENT)]


@pytest.mark.parametrize("shape", ["no vertices", "no faces", "a point", "nothing at all"])
def test_odd_meshes_have_a_guess_or_none(shape):
    points = {"no vertices": 0, "no faces": 5, "a point": 1}.get(shape)
    if points is None:
        assert guess_regions([], HEADS) == []
        return
    odd = piece("Odd", np.zeros((points, 3)), np.empty((0, 3)), HIPS)
    found = guess_regions([body(), odd], HEADS)[1]
    assert [g.region for g in found] == ([BODY] if points else [])
    assert len(vertex_labels(odd, {}, HEADS)) == points


def test_without_bones_or_a_head():
    headless = np.zeros(3, bool)
    assert guess_regions([body()], headless)[0][0].region == BODY
    assert set(vertex_labels(body(), {}, headless)) == {BODY}


@pytest.mark.parametrize(
    ("names", "parents", "expected"),
    [
        (["mixamorig:Hips", "mixamorig:Head", "mixamorig:HeadTop_End"], [-1, 0, 1], [0, 1, 1]),
        (["J_Bip_C_Chest", "J_Bip_C_Head", "J_Sec_Hair1_01"], [-1, 0, 1], [0, 1, 1]),
        (["DEF-spine.005", "DEF-spine.006", "DEF-jaw"], [-1, 0, -1], [0, 1, 1]),
        (["Bip01 Neck", "Bip01 Head", "Bip01 Ponytail1"], [-1, 0, 1], [0, 1, 1]),
        (["頭", "首", "右目"], [1, -1, 0], [1, 0, 0 + 1]),
        (["chest", "object:Head_Trophy", "head", "object:Hat"], [-1, 0, 0, 2], [0, 0, 1, 1]),
        (["b0", "b1"], [-1, 0], [0, 0]),
    ],
)
def test_head_bones(names, parents, expected):
    assert head_bones(names, parents).tolist() == [bool(each) for each in expected]

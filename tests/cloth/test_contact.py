"""Cloth in contact: what is near is found, what is apart stays apart, what has crossed comes apart."""

import itertools

import numpy as np
import pytest
from wardrobe import sheet

from ani3dhuman.cloth.contact import touch as contact_touch
from ani3dhuman.cloth.contact.candidates import BESIDE, BLOCKS
from ani3dhuman.cloth.contact.flat import NEAR
from ani3dhuman.cloth.contact.geometry import EDGE, VERTEX, closest_on_edges, nearest_of_pair, pierces
from ani3dhuman.cloth.contact.seams import find_seams
from ani3dhuman.cloth.contact.touch import (
    ALLOWED,
    DONE,
    DUE,
    ELAPSED,
    MANY,
    MOST,
    SPAN,
    USED,
    Layers,
    begin_frame,
    cover_of,
    empty_lists,
    find_crossings,
    go_between,
    hold_apart,
    make_lists,
    renew_lists,
)
from ani3dhuman.mesh.topology import edges_of


def crumpled(seed, rows=9, columns=8):
    """A sheet of 10 cm and its places thrown about, so that it crosses itself."""
    flat, faces = sheet([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0.1, 0.1, 0]], rows, columns)
    rng = np.random.default_rng(seed)
    return flat, (flat + rng.normal(size=flat.shape) * 0.01).astype(np.float32), faces.astype(np.int64)


def covered(rest, faces, half=0.002):
    count = len(rest)
    layers = Layers(faces, np.full(count, half), np.zeros(count), np.full(count, 0.3, np.float32))
    return cover_of(layers, rest, np.ones(count, np.float32))


def used(rows, counts):
    room = len(rows) // BLOCKS
    return np.concatenate([rows[b * room : b * room + counts[b]] for b in range(BLOCKS)])


def test_the_nearest_points_of_two_edges_against_a_search():
    rng = np.random.default_rng(0)
    s, t = np.meshgrid(np.linspace(0, 1, 61), np.linspace(0, 1, 61))
    for k in range(60):
        a, b, c, d = rng.normal(size=(4, 3))
        if k % 4 == 0:
            d = c + (b - a) * rng.uniform(-1, 1)  # parallel
        if k % 7 == 0:
            b = a  # no length
        squared, u, w = closest_on_edges(np.stack([a, b, c, d]), 0, 1, 2, 3)
        assert 0 <= u <= 1 and 0 <= w <= 1
        np.testing.assert_allclose(np.linalg.norm(a + u * (b - a) - c - w * (d - c)) ** 2, squared, atol=1e-9)
        searched = np.linalg.norm(a + s[..., None] * (b - a) - c - t[..., None] * (d - c), axis=-1).min()
        assert np.sqrt(squared) <= searched + 1e-6 and np.sqrt(squared) > searched - 0.08


def crossings_of(x, faces):
    """All edges (2,) and triangles (3,) that cross, as sets of vertices, by the signs of volumes."""
    edges, x = edges_of(faces), x.astype(float)
    p, q = (x[edges[:, k]][:, None] for k in range(2))
    a, b, c = (x[faces[:, k]][None] for k in range(3))
    normal = np.cross(b - a, c - a)
    over = ((p - a) * normal).sum(-1) * ((q - a) * normal).sum(-1) < 0
    sides = np.stack([(np.cross(q - p, u - p) * (v - p)).sum(-1) for u, v in ((a, b), (b, c), (c, a))])
    through = over & ((sides >= 0).all(0) | (sides <= 0).all(0))
    apart = ~(edges[:, None, :, None] == faces[None, :, None, :]).any((2, 3))
    return {(tuple(edges[e]), tuple(sorted(faces[f]))) for e, f in np.argwhere(through & apart)}


@pytest.mark.parametrize("seed", [0, 1])
def test_every_edge_that_pierces_a_triangle_is_found_once(seed):
    rest, x, faces = crumpled(seed)
    cover = covered(rest, faces)
    lists = empty_lists(cover)
    count = find_crossings(x, cover, lists)
    rows = used(lists.hits, lists.hit_counts)
    found = [
        (tuple(sorted((cover.faces[p, c], cover.faces[p, (c + 1) % 3]))), tuple(sorted(cover.faces[q])))
        for p, c, q in rows
    ]
    assert len(found) == len(set(found)) == count
    assert set(found) == crossings_of(x, faces) != set()


def pairs_nearer_than(reach, places, faces):
    """Names of all pairs that come nearer than that at one of several places (V,3), and their vertices."""
    near = {}
    for i, face in itertools.product(range(len(places[0])), faces):
        if i not in face and min(nearest_of_pair(VERTEX, i, *face, y)[0] for y in places) < reach:
            near[name(VERTEX, i, *face)] = VERTEX, i, *face
    for a, b in itertools.combinations(edges_of(faces), 2):
        if not set(a) & set(b) and min(nearest_of_pair(EDGE, *a, *b, y)[0] for y in places) < reach:
            near[name(EDGE, *a, *b)] = EDGE, *a, *b
    return near


def names_on(lists):
    """The pairs on lists that are kept apart at all."""
    kept = used(lists.pairs.keep, lists.counts) > 0
    at, kinds = used(lists.pairs.at, lists.counts)[kept], used(lists.pairs.kind, lists.counts)[kept]
    listed = {name(kind, *row) for kind, row in zip(kinds, at, strict=True)}
    assert len(listed) == len(at)
    return listed


@pytest.mark.parametrize("seed", [2, 3])
def test_every_pair_that_comes_within_reach_is_listed_once_where_cloth_is_not_flat(seed):
    rest, _, faces = crumpled(seed)
    x = rest + np.random.default_rng(seed).normal(size=rest.shape).astype(np.float32) * [0.001, 0.001, 0.004]
    x = x.astype(np.float32)
    cover = covered(rest, faces, 0.004)
    v = np.random.default_rng(seed).normal(size=x.shape).astype(np.float32) * 0.2 + np.float32([3, 0, 1])
    step, span = 0.001, 0.005
    lists = make_lists(x, x + step * v, step, span, cover, empty_lists(cover))
    assert not lists.tangled.any()
    later = [x + t * v for t in np.linspace(0, span, 6)]
    near, listed = pairs_nearer_than(2 * cover.half[0], later, faces), names_on(lists)
    assert len(near.keys() & listed) > 4
    for pair in near.keys() - listed:  # a patch of one sheet, no steeper than 60 degrees: it cannot meet itself
        now = min(nearest_of_pair(*near[pair], y)[0] for y in later)
        assert now > 0.4 * nearest_of_pair(*near[pair], rest)[0]


def test_a_sheet_folded_upon_itself_is_listed_also_after_some_vertices_have_left_their_lines():
    rest, _, faces = crumpled(0)
    x, reach = rest.copy(), 0.004
    x[rest[:, 0] > 0.05] = (rest * [-1, 1, 1] + [0.1, 0, 0.003])[rest[:, 0] > 0.05]
    cover = covered(rest, faces)
    lists = make_lists(x, x, 0.001, 0.01, cover, empty_lists(cover))
    across = {
        pair
        for pair, (kind, *four) in pairs_nearer_than(reach, [x], faces).items()
        if np.ptp(rest[four], axis=0)[0] > 0.03
    }
    assert across <= names_on(lists) and len(across) > 100
    after, corner = x.copy(), int(np.argmin(np.abs(rest - [0.02, 0.05, 0]).sum(1)))
    after[corner, 2] += 0.05  # thrown through the other half
    begin_frame(lists, 30)
    size = len(lists.pairs.kind)
    mended = renew_lists(DUE, x, after, 0.001, cover, lists)
    assert len(mended.pairs.kind) == size  # not made anew
    mine = {pair for pair, (kind, *four) in pairs_nearer_than(reach, [after], faces).items() if corner in four}
    assert mine <= names_on(mended) and across - names_on(mended) <= {p for p in across if corner in near_of(p)}


def test_two_sides_of_a_fold_at_rest_are_listed_though_a_way_round_is_within_reach_of_one_alone():
    flat, faces = sheet([[-0.12, 0, 0], [0.12, 0, 0], [-0.12, 0.1, 0], [0.12, 0.1, 0]], 20, 7)
    flat[flat[:, 0] > 0, 0] *= 0.5  # smaller triangles on one side, from which fewer are within reach
    rest = np.column_stack([np.abs(flat[:, 0]), flat[:, 1], np.clip(flat[:, 0], -0.006, 0.006)]).astype(np.float32)
    x = (rest * [1, 1, 0.05]).astype(np.float32)  # what was 12 mm apart is .6 mm apart
    cover = covered(rest, faces)
    lists = make_lists(x, x, 0.001, 0.01, cover, empty_lists(cover))
    assert not lists.tangled.any() and (cover.mutual < cover.patches[1:]).any()
    across = {
        pair
        for pair, (kind, *four) in pairs_nearer_than(0.004, [x], faces).items()
        if np.sign(rest[four[0], 2]) != np.sign(rest[four[3], 2]) and rest[four, 0].min() > 0.006
    }
    assert across <= names_on(lists) and len(across) > 100


def test_of_a_tight_bend_what_lies_near_each_other_is_left_out_and_what_meets_is_not():
    flat, faces = sheet([[-0.02, 0, 0], [0.02, 0, 0], [-0.02, 0.01, 0], [0.02, 0.01, 0]], 6, 21)  # edges of 2 mm
    radius, (u, y, _) = np.float32(0.0065), flat.T
    tube = np.column_stack([radius * np.sin(u / radius), y, radius * (1 - np.cos(u / radius))]).astype(np.float32)
    tube += np.random.default_rng(0).normal(scale=3e-5, size=tube.shape).astype(np.float32)  # no two in one plane
    cover = covered(flat, faces, 0.0015)
    lists = make_lists(tube, tube, 0.001, 0.01, cover, empty_lists(cover))
    bent = np.abs(flat[cover.faces, 0]).max(1) < 0.008
    assert (lists.boxes.flat[bent] == NEAR).all()  # all of a patch turns by 75 degrees, what is near by 45
    whole_alone = cover._replace(near=cover.patches[:-1].copy())
    before = names_on(make_lists(tube, tube, 0.001, 0.01, whole_alone, empty_lists(whole_alone)))
    listed, near = names_on(lists), pairs_nearer_than(0.003, [tube], faces)
    meeting = {pair for pair, (_, *four) in near.items() if np.ptp(flat[four, 0]) > 0.03}  # both ends of the sheet
    assert meeting <= listed < before and len(meeting) > 50 and len(before - listed) > 100
    assert all(np.ptp(flat[sorted(near_of(pair)), :2], axis=0).max() < 0.009 for pair in before - listed)


def test_the_more_steps_a_frame_has_the_more_often_lists_may_be_made_in_it():
    lists, allowed = empty_lists(covered(*crumpled(0)[::2])), []
    for steps in (1, 30, 120):
        begin_frame(lists, steps)
        allowed.append((lists.clock[USED], lists.clock[ALLOWED]))
    assert allowed == [(0, MOST), (0, MOST), (0, 4 * MOST)]


def near_of(pair):
    """The vertices of a named pair."""
    return {int(v) for v in np.ravel(np.concatenate([np.ravel(part) for part in pair[1:]]))}


def stack(count, gap):
    """Sheets of 10 cm over each other, `gap` metres apart, each turned a little."""
    flat, faces = sheet([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0], [0.1, 0.1, 0]], 9, 8)
    turns = [np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]]) for a in range(count)]
    layers = [(flat - 0.05) @ turn * [1, 1, 0] + [0, 0, gap * n] for n, turn in enumerate(turns)]
    faces = np.concatenate([faces + n * len(flat) for n in range(count)]).astype(np.int64)
    return np.concatenate(layers).astype(np.float32), faces


def touch(x0, x, base, h, cover, lists, friction):
    """One step; the lists, perhaps new ones."""
    begin_frame(lists, 30)
    phase = hold_apart(DONE, x0, x, base, h, cover, lists, friction)
    while phase != DONE:
        lists = renew_lists(phase, x0, x, h, cover, lists)
        phase = hold_apart(phase, x0, x, base, h, cover, lists, friction)
    return lists


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_step_wants_nothing_crosses(seed):
    """Sheets 3 mm apart, thrown at each other by centimetres in one step, again and again."""
    x, faces = stack(3, 0.003)
    rng = np.random.default_rng(seed)
    cover, rub = covered(x, faces), np.full(len(x), 0.3, np.float32)
    lists = empty_lists(cover)
    for step in range(4):
        x0 = x.copy()
        wanted = (x0 + rng.normal(size=x.shape) * 0.02).astype(np.float32)
        x = wanted.copy()
        lists = touch(x0, x, x0.copy(), 0.001, cover, lists, rub)
        assert not crossings_of(x, faces), step
        assert np.abs(x - wanted).max() > 0.001 and np.isfinite(x).all()


@pytest.mark.parametrize("seed", range(2))
def test_a_correction_of_a_few_vertices_ends_as_if_all_pairs_had_been_listed(seed, monkeypatch):
    """Some vertices of the lowest one of five sheets are thrown at the others, each of which pushes the next one."""
    x0, faces = stack(5, 0.001)
    cover, each = covered(x0, faces), len(x0) // 5
    thrown = np.random.default_rng(seed).choice(each, 3, replace=False)
    wanted = x0.copy()
    wanted[thrown, 2] += 0.006
    found, listed = wanted.copy(), []
    listed.append(go_between(x0, found, cover, empty_lists(cover), crossed=False).counts.sum())
    made = contact_touch.make_lists
    monkeypatch.setattr(contact_touch, "make_lists", lambda *given: made(*given[:6]))
    whole = wanted.copy()
    listed.append(go_between(x0, whole, cover, empty_lists(cover)).counts.sum())
    assert np.array_equal(found, whole) and not crossings_of(found, faces)
    pushed = np.setdiff1d(np.flatnonzero((found != x0).any(1)), thrown)
    assert len(pushed) > 3 and listed[0] < listed[1]


@pytest.mark.parametrize("seed", (0, 2))
def test_lists_of_the_step_before_it_hold_a_correction_and_stay_as_they_are(seed, monkeypatch):
    """Vertices of the lowest sheet are thrown at the others, further than their slack: that alone is listed anew."""
    x0, faces = stack(5, 0.001)
    cover, known = covered(x0, faces), empty_lists(covered(x0, faces))
    known.slack[:] = 1e-4
    known = make_lists(x0, x0, 0.001, 0.01, cover, known)
    thrown = np.random.default_rng(seed).choice(len(x0) // 5, 3, replace=False)
    wanted, far = x0.copy(), x0.copy()
    wanted[thrown, 2] += 0.006
    far[thrown, 2] += 0.02
    assert crossings_of(wanted, faces) and crossings_of(far, faces)
    before = [np.copy(a) for a in (*known.pairs, *known.boxes, known.counts, known.slack, known.line, known.clock)]
    alone = far.copy()
    go_between(x0, alone, cover, empty_lists(cover), False)
    go_between(x0, far, cover, empty_lists(cover), False, known)
    assert np.array_equal(far, alone), "what goes too far for them has lists of its own"
    monkeypatch.setattr(contact_touch, "make_lists", None)
    go_between(x0, wanted, cover, empty_lists(cover), False, known)
    assert not crossings_of(wanted, faces)
    assert len(np.setdiff1d(np.flatnonzero((wanted != x0).any(1)), thrown)) > 3
    for then, now in zip(
        before, (*known.pairs, *known.boxes, known.counts, known.slack, known.line, known.clock), strict=True
    ):
        assert np.array_equal(then, now, equal_nan=then.dtype.kind == "f")


def test_what_was_moved_without_speed_gives_none_to_what_it_meets():
    """A sheet that was pushed out of the body, into another one, within a step."""
    x, faces = stack(2, 0.003)
    half, cover = len(x) // 2, covered(x, faces)
    x0, pushed = x.copy(), np.zeros_like(x)
    pushed[:half, 2] = 0.01
    x, base = x0 + pushed, x0 + pushed
    touch(x0, x, base, 0.001, cover, empty_lists(cover), np.full(len(x), 0.3, np.float32))
    assert np.abs(x - x0)[half:].max() > 0.001 and np.abs(x - base).max() < 1e-5


def test_lists_made_early_are_counted_where_cloth_has_crossed():
    rng = np.random.default_rng(1)
    rest, x, faces = crumpled(0)
    cover, rub = covered(rest, faces), np.zeros(len(x), np.float32)
    lists, early = empty_lists(cover), 0
    assert find_crossings(x, cover, lists) >= MANY
    for _ in range(60):
        x0, x = x, x + rng.normal(size=x.shape).astype(np.float32) * 0.005
        phase = hold_apart(DONE, x0, x, x0.copy(), 0.001, cover, lists, rub)
        while phase != DONE:
            early += lists.clock[SPAN] > 0 and lists.clock[ELAPSED] + 0.001 <= lists.clock[SPAN]
            lists = renew_lists(phase, x0, x, 0.001, cover, lists)
            phase = hold_apart(phase, x0, x, x0.copy(), 0.001, cover, lists, rub)
    assert 0 < early <= MOST


def test_crossed_sheets_come_apart_step_by_step():
    """One sheet stands in another, which lies: the curve on which they cross becomes shorter."""
    x, faces = stack(2, 0.0)
    half = len(x) // 2
    x[half:] = x[half:][:, [0, 2, 1]] + np.float32([0.001, 0.002, -0.04])
    cover = covered(x, faces)
    lists = empty_lists(cover)
    rub = np.zeros(len(x), np.float32)
    at_first = len(crossings_of(x, faces))
    fast = []
    for _ in range(300):
        x0 = x.copy()
        base = x0.copy()
        lists = touch(x0, x, base, 0.001, cover, lists, rub)
        fast.append(np.abs(x - base).max())
    assert max(fast) < 1e-6  # no speed comes of it
    assert len(crossings_of(x, faces)) < 0.7 * at_first


def test_what_crosses_where_the_skeleton_holds_it_crosses_no_further():
    """A sheet stands on its corner, which is held in another sheet that lies."""
    x, faces = stack(2, 0.0)
    half = len(x) // 2
    across, up = x[half:, 0] - x[half:, 1], x[half:, 0] + x[half:, 1]
    x[half:] = np.stack([across, 0 * up, up - up.min() - 0.008], 1) / np.sqrt(2) + np.float32([0.001, 0.002, 0])
    cover, lists, everything = covered(x, faces), empty_lists(covered(x, faces)), np.ones(len(x), bool)
    cover.inv_mass[half + up.argmin()] = 0
    at_first = crossings_of(x, faces)
    assert find_crossings(x, cover, lists) == len(at_first) > 0
    find_seams(x, ~everything, cover, lists)
    assert not cover.seam.any()
    find_seams(x, everything, cover, lists)
    assert find_crossings(x, cover, lists) == 0 and not cover.seam.all()
    rng, rub = np.random.default_rng(0), np.full(len(x), 0.3, np.float32)
    seen = set()
    for _ in range(4):
        x0, x = x, (x + rng.normal(size=x.shape) * 0.01 * (cover.inv_mass > 0)[:, None]).astype(np.float32)
        lists = touch(x0, x, x0.copy(), 0.001, cover, lists, rub)
        seen |= crossings_of(x, faces)
    assert seen - at_first and all(cover.seam[list(edge + face)].all() for edge, face in seen)


def name(kind, i, j, k, m):
    if kind == VERTEX:
        return (VERTEX, i, *sorted((j, k, m)))
    return (EDGE, *sorted([tuple(sorted((i, j))), tuple(sorted((k, m)))]))


def test_a_segment_pierces_a_triangle_only_within_it():
    x = np.stack([*np.eye(3), np.zeros(3), np.ones(3), 0.3 * np.ones(3), np.array([2.0, -0.5, 0])])
    assert pierces(x, 3, 4, 0, 1, 2)[0]
    assert not pierces(x, 3, 5, 0, 1, 2)[0]
    assert not pierces(x, 3, 6, 0, 1, 2)[0]


def test_what_crosses_along_a_curve_that_is_held_somewhere_crosses_what_it_crossed():
    """A sheet stands on its corner in another one that lies; a vertex at one end of the curve is held."""
    x, faces = stack(2, 0.0)
    half = len(x) // 2
    across, up = x[half:, 0] - x[half:, 1], x[half:, 0] + x[half:, 1]
    x[half:] = np.stack([across, 0 * up, up - up.min() - 0.03], 1) / np.sqrt(2) + np.float32([0.001, 0.002, 0])
    cover, lists, before = covered(x, faces), empty_lists(covered(x, faces)), crossings_of(x, faces)
    crossing = np.unique([edge + face for edge, face in before])
    held = crossing[x[crossing, 0].argmax()]
    cover.inv_mass[held] = 0
    find_seams(x, np.ones(len(x), bool), cover, lists)
    free = crossing[x[crossing, 0] < 0]
    assert (cover.seam[crossing] > 0).all() and (cover.seam[free] == BESIDE).all() and len(free)
    assert find_crossings(x, cover, lists) == 0  # none of it is to come apart
    rng, rub = np.random.default_rng(1), np.full(len(x), 0.3, np.float32)
    for _ in range(3):
        x0, x = x, (x + rng.normal(size=x.shape) * 0.005 * (cover.inv_mass > 0)[:, None]).astype(np.float32)
        lists = touch(x0, x, x0.copy(), 0.001, cover, lists, rub)
        now = crossings_of(x, faces)
        assert {pair for pair in now if (x[list(pair[0])][:, 0] < 0).all()} <= before


def test_a_corner_that_has_little_weight_where_it_is_met_goes_no_further_than_others():
    """A triangle that is held at two corners, met beside the edge between these by a corner of another, held one."""
    x = np.float32(
        [[0, 0, 0], [0.02, 0, 0], [0.01, 0.02, 0], [0.01, 0.001, 0.001], [0, -0.02, 0.01], [0.02, -0.02, 0.01]]
    )
    faces, garment = np.array([[0, 1, 2], [3, 4, 5]]), np.repeat([0, 1], 3)
    layers = Layers(faces, np.full(6, 0.002), garment, np.zeros(6, np.float32))
    cover = cover_of(layers, x, np.float32([0, 0, 1, 0, 0, 0]))
    moved = x.copy()
    touch(x, moved, x.copy(), 1 / 720, cover, empty_lists(cover), np.zeros(6, np.float32))
    assert 1e-4 < np.linalg.norm(moved[2] - x[2]) < 0.003, "3 mm lack of the 4 that are kept"

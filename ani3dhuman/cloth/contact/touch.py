"""One step of the solver, held against all other cloth: when lists are made anew, and in which order things happen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import prange

from ...jit import kernel, parallel_kernel
from .apart import REMAINS, Touching, keep_sides, look, repel
from .candidates import BLOCKS, Boxes, Cover, Pairs, list_pairs, never_meeting
from .flat import find_flat, find_flat_about_moving, patches_of
from .mend import FEW, leave_lines, mend, widen
from .tangles import list_crossings, mark_tangled, untangle
from .tree import build_tree, refit

SLACK = 0.2, 1.5  # of the distance kept: bounds of how far a vertex may leave its straight line before lists are due
AHEAD, FORGET = 2.0, 0.8  # that slack: times how far it was left last time, or so much of what it was
PATCH = 4.0  # times half the distance kept, about each triangle, that it is looked whether cloth is flat
LONGEST, USUAL, SHORTEST = 12.0, 8.0, 2.0  # steps that lists may serve
DONE, DUE, LEFT = range(3)  # phases of a step
AGAIN = 3  # how often lists are made anew in one step, as what was put back leaves its line
MOST, EARLY = 12, 0.4  # lists made early in a frame, or in a step of it, before nothing more is promised
CORRECTIONS, FURTHEST = 3, 2.0  # turns in which lists may serve a correction; times the most slack that it may need
CHEAP = 0.05  # as many of those as mending some counts for
MANY, LITTLE = 64, 4  # crossings with which no more are made than that, as what shakes there leaves every line at once
ALL = np.zeros(0, bool)  # of cloth that moves
ELAPSED, SPAN, USED, CROSSED, FAILED, ALLOWED = range(6)  # places in `Lists.clock`


class Lists(NamedTuple):
    """What may touch, and until when.

    Attributes:
        pairs: `Pairs` in BLOCKS blocks, of which `counts` (BLOCKS,) are used, after `dropped` (BLOCKS,) were left out;
            touching: `Touching`.
        hits: (N,3) int32 crossings in BLOCKS blocks, of which `hit_counts` (BLOCKS,) are used.
        tangled: (V,) bool, vertices of what crosses.
        line, way: (V,3) float32, the places and velocities that the lists were made for.
        slack: (V,) float32 metres, how far each vertex may be from there.
        clock: (6,) seconds since then, seconds that they serve (0: there are none), lists made early in this frame,
            crossings found last, pairs that could not be kept apart since, lists that may be made early in this frame.
        boxes: `Boxes`.
        ends: (2,V,3) float32, where the lines are at the step at hand and when the lists have served.
    """

    pairs: Pairs
    counts: np.ndarray
    dropped: np.ndarray
    touching: Touching
    hits: np.ndarray
    hit_counts: np.ndarray
    tangled: np.ndarray
    line: np.ndarray
    way: np.ndarray
    slack: np.ndarray
    clock: np.ndarray
    boxes: Boxes
    ends: np.ndarray


@dataclass(frozen=True)
class Layers:
    """Cloth that may touch: P particles, their triangles and what they keep from each other.

    Attributes:
        faces: (F,3) of three different vertices each.
        half: (P,) metres, half the distance that each keeps from other cloth.
        garment: (P,) which garment it is part of; within one, no more is kept than there is at rest.
        friction: (P,) Coulomb's coefficient.
    """

    faces: np.ndarray
    half: np.ndarray
    garment: np.ndarray
    friction: np.ndarray


def cover_of(layers: Layers, rest: np.ndarray, inv_mass: np.ndarray) -> Cover:
    """What does not change about cloth of P particles with places `rest` (P,3) at rest."""
    tree = build_tree(layers.faces, rest)
    half, garment = layers.half.astype(np.float32), layers.garment.astype(np.int32)
    patches = patches_of(tree.faces, rest, PATCH * half)
    seam = np.zeros(len(rest), np.int8)
    sheet = np.ascontiguousarray(rest, np.float32), half, garment, inv_mass, seam
    return Cover(*tree, *sheet, *patches, np.arange(len(rest)))


def empty_lists(cover: Cover) -> Lists:
    """No lists yet, and room for some."""
    vertices, faces, leaves = len(cover.rest), len(cover.faces), len(cover.first) - 1
    pairs, touching = room_for(BLOCKS * max(64, faces // 4), vertices)
    return Lists(
        pairs,
        np.zeros(BLOCKS, np.int64),
        np.zeros(BLOCKS, np.int64),
        touching,
        np.zeros((BLOCKS * 256, 3), np.int32),
        np.zeros(BLOCKS, np.int64),
        np.zeros(vertices, bool),
        np.zeros((vertices, 3), np.float32),
        np.zeros((vertices, 3), np.float32),
        np.float32(2 * SLACK[1]) * np.abs(cover.half),
        np.zeros(6),
        Boxes(
            np.zeros((2 * leaves, 12), np.float32),
            np.zeros((faces, 12), np.float32),
            np.zeros((faces, 2, 3), np.float32),
            np.zeros(faces, np.uint8),
            np.zeros(vertices, bool),
            np.zeros(faces, np.float32),
            np.zeros(faces, np.uint8),
            np.zeros(2 * leaves, np.uint8),
            np.zeros((BLOCKS, faces), np.uint8),
        ),
        np.empty((2, vertices, 3), np.float32),
    )


def room_for(count: int, vertices: int) -> tuple[Pairs, Touching]:
    """Room for so many pairs of so many vertices."""
    vectors = np.empty((count, 3), np.float32), np.empty((count, 4), np.float32)
    numbers = np.empty(count, np.float32), np.empty(count, np.float32)
    pairs = Pairs(
        np.empty(count, np.int8), np.empty((count, 4), np.int32), vectors[0], numbers[0], np.empty(count, bool)
    )
    near = np.zeros(count, bool), np.empty(count, np.int32), np.zeros(BLOCKS, np.int64)
    return pairs, Touching(*near, vectors[1], numbers[1], np.zeros(vertices, bool))


def find_crossings(x: np.ndarray, cover: Cover, lists: Lists) -> int:
    """Find what crosses at places `x` (V,3), and mark it; how many edges do."""
    refit(cover, x, x, -cover.half, lists.boxes)
    never_meeting(cover, ALL, lists.boxes)
    list_crossings(x, cover, lists.boxes, lists.hits, lists.hit_counts)
    mark_tangled(cover, lists.hits, lists.hit_counts, lists.tangled)
    lists.clock[CROSSED] = lists.hit_counts.sum()
    return int(lists.hit_counts.sum())


def crossings(x: np.ndarray, cover: Cover, lists: Lists) -> np.ndarray:
    """(N,3) what crosses at places `x` (V,3), as of `list_crossings`; no more than there is room for."""
    if len(cover.faces) == 0 or find_crossings(x, cover, lists) == 0:
        return np.zeros((0, 3), np.int32)
    room = len(lists.hits) // len(lists.hit_counts)
    return np.concatenate([lists.hits[b * room : b * room + min(n, room)] for b, n in enumerate(lists.hit_counts)])


def may_cross(lists: Lists) -> bool:
    """Whether cloth may cross itself where the lists' last step ended."""
    return bool(lists.clock[SPAN] == 0 or lists.clock[CROSSED] > 0 or lists.clock[FAILED] > 0)


def make_lists(
    x0: np.ndarray, x: np.ndarray, h: float, span: float, cover: Cover, lists: Lists, moving: np.ndarray = ALL
) -> Lists:
    """Lists for `span` seconds, for cloth that goes from `x0` to `x` (V,3) in the first `h`; perhaps new arrays.

    Pairs of which no triangle has a vertex that is `moving` (V,) bool are left out.
    """
    clock = lists.clock
    if may_cross(lists):
        find_crossings(x0, cover, lists)
        clock[FAILED] = 0
    lists.line[:] = x0
    np.divide(x - x0, np.float32(h), out=lists.way)
    end = x0 + lists.way * np.float32(span)
    refit(cover, x0, end, lists.slack, lists.boxes)
    never_meeting(cover, moving, lists.boxes)
    (find_flat_about_moving if len(moving) else find_flat)(x0, end, cover, lists.boxes)
    while True:
        list_pairs(x0, end, lists.slack, cover, lists.tangled, lists.boxes, lists.pairs, lists.counts)
        most = int(lists.counts.max())
        if most * BLOCKS <= len(lists.pairs.kind):
            break
        pairs, touching = room_for(BLOCKS * (most + most // 2), len(x))
        lists = lists._replace(pairs=pairs, touching=touching)
    clock[ELAPSED], clock[SPAN], lists.dropped[:] = 0, span, 0
    return lists


def renew_lists(phase: int, x0: np.ndarray, x: np.ndarray, h: float, cover: Cover, lists: Lists) -> Lists:
    """Lists for what comes, when `hold_apart` asked for them with `phase`; they serve as long as the last ones did."""
    elapsed, span = lists.clock[ELAPSED], lists.clock[SPAN]
    if span > 0 and (phase != DUE or elapsed + h <= span * 1.0001):
        if lists.clock[CROSSED] == 0 and _mended(x0, x, h, cover, lists):
            lists.clock[USED] += CHEAP
            return lists
        lists.clock[USED] += 1
    if span > 0:
        _adapt(x, elapsed + h, cover.half, lists)
    if phase == DUE:
        if span == 0:
            span = USUAL * h
        elif elapsed + h > span:
            span = max(1.3 * span, USUAL * h) if lists.clock[CROSSED] >= MANY else 1.3 * span
        else:
            span = 0.8 * elapsed
    longest = LONGEST * h if lists.clock[CROSSED] < MANY else 2 * LONGEST * h
    return make_lists(x0, x, h, min(max(span, SHORTEST * h), longest), cover, lists)


def _mended(x0: np.ndarray, x: np.ndarray, h: float, cover: Cover, lists: Lists) -> bool:
    """Bring lists up to date for what left its line in a step of `h` seconds; False where that is too much for it."""
    elapsed, span = lists.clock[ELAPSED], lists.clock[SPAN]
    off, most = np.empty(len(x), bool), np.float32(2 * SLACK[1]) * cover.half
    if leave_lines(x0, x, elapsed, h, most, lists, off) > FEW * len(x):
        return False
    return mend(off, np.float32(elapsed), np.float32(span), cover, lists)


def go_between(
    x0: np.ndarray,
    x: np.ndarray,
    cover: Cover,
    lists: Lists,
    crossed: bool = True,
    known: Lists | None = None,
    again: bool = False,
) -> Lists:
    """Change places `x` (V,3), to which cloth goes from `x0`, so that it does not cross on the way; the lists.

    `crossed`: whether it may cross at `x0`. `known`: lists of the step that ended near there, which often serve.
    `again`: `lists` are what came of these when cloth went to or from near there before.
    """
    if known and not crossed:
        wished = x.copy()
        lists, failed = _goes_along(x0, x, cover, lists, known, again and not lists.clock[SPAN])
        if failed is not None:
            lists.clock[:] = 0
            lists.clock[FAILED] = failed
            return lists
        x[:] = wished
    lists.clock[:] = 0
    if not crossed:
        lists.clock[SPAN], lists.tangled[:] = 1, False
    for slack in (*SLACK, SLACK[1]):  # most corrections are small: lists of all that large ones may meet are long
        lists.slack[:] = np.float32(2 * slack) * np.abs(cover.half)
        wished, moving = x.copy(), (x != x0).any(1)
        while True:  # what stays where it is, on both sides, is not compared unless it is put back by something else
            lists = make_lists(x0, x, 1.0, 1.0, cover, lists, moving)
            look(x0, x, REMAINS, True, cover, lists.pairs, lists.counts, lists.touching)
            failed = keep_sides(x0, x, x0.copy(), cover, lists.pairs, lists.counts, lists.touching)
            more = lists.touching.moved & ~moving
            if not more.any():
                break
            moving |= more
            moving[cover.faces[moving[cover.faces].any(1)]] = True  # what is put back pushes what is beside it
            x[:] = wished
        if not _off_line(x, 1.0, lists.line, lists.way, lists.slack):
            break
    lists.clock[FAILED] = failed
    return lists


def _goes_along(
    x0: np.ndarray, x: np.ndarray, cover: Cover, lists: Lists, known: Lists, again: bool
) -> tuple[Lists, int | None]:
    """As `go_between` by `known` lists, which stay as they are; also the number of pairs that fail.

    That is None where they do not serve: `x` is of no use then.
    """
    elapsed, span = known.clock[ELAPSED], known.clock[SPAN]
    if not again:
        if len(lists.pairs.kind) != len(known.pairs.kind):
            pairs, touching = room_for(len(known.pairs.kind), len(x))
            lists = lists._replace(pairs=pairs, touching=touching)
        _copy_lists(known, lists)
    lists.tangled[:] = False
    own = lists._replace(line=known.line, way=known.way)
    off, most = np.empty(len(x), bool), np.float32(2 * FURTHEST * SLACK[1]) * cover.half
    for _ in range(CORRECTIONS):
        count = widen(x0, x, elapsed, most, own, off)
        if count > FEW * len(x) or (count and not mend(off, np.float32(elapsed), np.float32(span), cover, own)):
            return lists, None
        look(x0, x, REMAINS, True, cover, own.pairs, own.counts, own.touching)
        failed = int(keep_sides(x0, x, x0.copy(), cover, own.pairs, own.counts, own.touching))
        if not _off_line(x, elapsed, own.line, own.way, own.slack):
            return lists, failed
    return lists, None


@kernel
def _copy_block(b, pairs, counts, boxes, to_pairs, to_boxes):  # type: ignore[no-untyped-def]
    """A block of pairs, and as large a part of the boxes."""
    room = pairs.kind.shape[0] // BLOCKS
    part = slice(b * room, b * room + counts[b])
    to_pairs.kind[part], to_pairs.at[part], to_pairs.normal[part] = pairs.kind[part], pairs.at[part], pairs.normal[part]
    to_pairs.keep[part], to_pairs.rested[part] = pairs.keep[part], pairs.rested[part]
    count = boxes.node.shape[0]
    part = slice(b * count // BLOCKS, (b + 1) * count // BLOCKS)
    to_boxes.node[part], to_boxes.apart[part] = boxes.node[part], boxes.apart[part]
    count = boxes.face.shape[0]
    part = slice(b * count // BLOCKS, (b + 1) * count // BLOCKS)
    to_boxes.face[part], to_boxes.normals[part] = boxes.face[part], boxes.normals[part]
    to_boxes.margin[part], to_boxes.flat[part] = boxes.margin[part], boxes.flat[part]
    to_boxes.own[part] = boxes.own[part]


@parallel_kernel
def _copy_blocks(pairs, counts, boxes, to_pairs, to_boxes):  # type: ignore[no-untyped-def]
    for b in prange(BLOCKS):
        _copy_block(b, pairs, counts, boxes, to_pairs, to_boxes)


def _copy_lists(one: Lists, other: Lists) -> None:
    """Make lists those of `one`, which has as much room, but for their lines."""
    other.counts[:], other.dropped[:], other.slack[:] = one.counts, one.dropped, one.slack
    other.boxes.level[:] = one.boxes.level
    _copy_blocks(one.pairs, one.counts, one.boxes, other.pairs, other.boxes)


@kernel
def _off_line(x, elapsed, line, way, slack):  # type: ignore[no-untyped-def]
    """Whether a vertex has left its straight line by more than its slack."""
    for i in range(x.shape[0]):
        dx = x[i, 0] - line[i, 0] - elapsed * way[i, 0]
        dy = x[i, 1] - line[i, 1] - elapsed * way[i, 1]
        dz = x[i, 2] - line[i, 2] - elapsed * way[i, 2]
        if not dx * dx + dy * dy + dz * dz <= slack[i] * slack[i]:
            return True
    return False


@kernel
def _adapt(x, elapsed, half, lists):  # type: ignore[no-untyped-def]
    """Give each vertex as much slack as it needed when it went to `x` (V,3), in so many seconds."""
    line, way, slack = lists.line, lists.way, lists.slack
    for i in range(x.shape[0]):
        dx = x[i, 0] - line[i, 0] - elapsed * way[i, 0]
        dy = x[i, 1] - line[i, 1] - elapsed * way[i, 1]
        dz = x[i, 2] - line[i, 2] - elapsed * way[i, 2]
        wanted = max(AHEAD * math.sqrt(dx * dx + dy * dy + dz * dz), FORGET * slack[i])
        slack[i] = min(max(wanted, 2.0 * SLACK[0] * half[i]), 2.0 * SLACK[1] * half[i])


def begin_frame(lists: Lists, steps: int) -> None:
    """Let lists be made early as often as so many steps may need."""
    lists.clock[USED], lists.clock[ALLOWED] = 0, max(MOST, EARLY * steps)


@kernel
def _may_renew(clock):  # type: ignore[no-untyped-def]
    """Whether lists may still be made early in this frame."""
    return clock[USED] < (clock[ALLOWED] if clock[CROSSED] < MANY else LITTLE)


@kernel
def hold_apart(phase, x0, x, base, h, cover, lists, friction):  # type: ignore[no-untyped-def]
    """Hold a step of `h` seconds from `x0` to `x` (V,3) against all cloth, in place.

    `base` (V,3), from which velocities are reckoned, goes along with corrections. `friction` (V,) are coefficients.

    Args:
        phase: DONE for a new step, else what the last call for this step returned.

    Returns:
        DONE, or that lists must be made (`renew_lists`) before this goes on: DUE, or LEFT when places are off their
        lines after the step was held.
    """
    clock = lists.clock
    if phase == DONE:
        late = clock[ELAPSED] + h > clock[SPAN] * 1.0001
        if late or (_may_renew(clock) and _off_line(x, clock[ELAPSED] + h, lists.line, lists.way, lists.slack)):
            return DUE
    if phase <= DUE and clock[CROSSED] > 0:
        untangle(x, base, h, cover, lists.hits, lists.hit_counts)
    look(x0, x, 1.0, True, cover, lists.pairs, lists.counts, lists.touching)
    if lists.touching.counts.sum() > 0:
        if phase <= DUE:
            repel(x0, x, base, h, cover.inv_mass, lists.pairs, lists.touching, friction)
        clock[FAILED] += keep_sides(x0, x, base, cover, lists.pairs, lists.counts, lists.touching)
        again = phase < LEFT + AGAIN and _may_renew(clock)
        if again and _off_line(x, clock[ELAPSED] + h, lists.line, lists.way, lists.slack):
            return max(phase + 1, LEFT)
    clock[ELAPSED] += h
    return DONE

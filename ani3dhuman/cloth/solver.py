"""The time loop of the cloth solver: frames, and in each as many substeps as its speed asks for."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import numpy as np

from ani3d_formats.errors import Cancelled
from ani3d_formats.progress import Progress

from ..device import CPU_NAME
from ..mesh.kernels import strays
from ..mesh.surface import Contacts, Obstacle
from ..mesh.vectors import lengths
from .arcs import stops
from .arrivals import WayIn
from .compliance import compliances, settings_for
from .constraints import Constraints
from .contact.candidates import Cover
from .contact.seams import find_seams
from .contact.touch import DONE, FAILED, begin_frame, cover_of, empty_lists, may_cross, renew_lists
from .exits import Exits
from .fabrics import SUBSTEP, ClothSettings
from .giving import Giving
from .kernels import Body, Cloth, Fabric, Pose, State, all_within
from .layers import Stack, let_cards_cross, pulled_apart
from .mend import Mender
from .order import Order
from .parts import in_parts
from .passages import Passages
from .preroll import JUMP, Preroll, rigid_fit
from .steps import steps_on
from .sunk import brought_out
from .surroundings import Sheet, Surroundings
from .worn import Worn

REFERENCE_SPEED = 2.4  # m/s, the speed of the fastest moving part at which `ClothSettings.substeps` holds
RINGS = 3  # of the body's mesh about a place, whose own ways are heeded while cloth is near that place
MIN_FACTOR, MAX_FACTOR = 0.6, 4.0  # bounds of that number's factor
AT_ONCE = 200_000  # particles times substeps between two looks at whether to stop
FURTHEST = 1e7  # metres from the origin; what is further away has blown up
FURTHEST_JUMP = 1e4  # metres; more is no cut but a broken animation


def run(
    skinned: np.ndarray,
    rest: np.ndarray,
    constraints: Constraints,
    pin_weights: np.ndarray,
    surroundings: Surroundings | None,
    fps: float,
    worn: Worn,
    progress: Progress | None = None,
) -> np.ndarray:
    """Simulate P particles over T frames; arguments and result as of `ani3dhuman.cloth.simulate.simulate`.

    The way in goes by what `skinned` holds before the first `Surroundings.until`. A connected piece that blows up is
    NaN from that frame on, and in all frames when that was before the first one.

    Raises:
        Cancelled: within some tenths of a second of the request, the way in included.
    """
    around = surroundings or Surroundings()
    advance = steps_on(around.device)
    obstacle = around.obstacle
    c, parts = in_parts(constraints, rest)
    order, settings = Order.of(parts.members), settings_for(c, worn)
    masses = worn.each("density") * c.material.sizes
    inv_mass = np.where(constraints.pinned, 0, 1 / masses).astype(np.float32)
    hold = np.maximum(worn.each("hold") * np.clip(pin_weights, 0, 1) ** 2, worn.shape(c.reach))
    hear(progress)
    preroll = Preroll.into(skinned, rest, constraints.pinned, settings.preroll, around.way_in)
    layers = worn.layers(c.faces, rest)
    hear(progress)
    outer = cover_of(layers, rest, inv_mass)
    lists, spare = empty_lists(outer), empty_lists(outer)
    if worn.hair:
        let_cards_cross(outer, lists)
    sheet = Sheet(c.faces, masses)
    steady = order.place[constraints.pinned if constraints.pinned.sum() >= 3 else np.ones(len(rest), bool)]
    if around.until and (preroll.still or not preroll.count):  # else the first pose is the one at rest
        around.until(0)
    way_in, all_free = WayIn(preroll, skinned, rest, around), not worn.hair
    given, own, clear = constraints, worn.garment == 0, worn.each("thickness") + worn.extra
    # from here on particles have the solver's own numbers; what the caller gives or gets has those that it knows
    constraints, c, rest, worn = (
        order.constraints(given),
        order.constraints(c),
        rest[order.former],
        worn.part(order.former),
    )
    inv_mass, thickness, usual = inv_mass[order.former], clear[order.former], hold[order.former]

    def pose_at(step: int) -> Pose:
        pose = way_in.pose(step)
        return pose._replace(skin=pose.skin[order.former])

    contacts = Contacts(obstacle, ~constraints.pinned, around.colliders)
    contacts.rows = order.place[~given.pinned]
    exits = Exits(contacts, c.edges, len(rest))
    give = compliances(c, worn, settings.gravity)
    edges = c.edges.astype(np.uint32), c.edge_rest, give.edge_give, give.edge_soft, give.edge_push
    hinges = c.hinges.astype(np.uint32), c.hinge_weights, give.hinge_give, give.hinge_soft
    strands, ordered = (c.joints, give.joint_give), parts[1:]
    of_edges, of_hinges = np.zeros((4, len(c.edges)), np.float32), np.zeros((len(c.hinges), 4), np.float32)
    of_frame = of_edges[0], of_edges[1], of_edges[2:].reshape(-1, 2), of_hinges, np.empty(len(rest))
    cloth = Cloth(inv_mass, *edges, *hinges, *strands, c.anchor, c.reach, *ordered, *of_frame)
    rubbing = worn.each("damping")[c.edges[:, 0]] * c.material.stretch
    rubbing = rubbing * inv_mass[c.edges].sum(1, dtype=np.float64)  # 1/s
    deepest = obstacle.deepest if obstacle else 0.0
    starts, at_point = contacts.around
    rough = np.full(len(contacts.faces), -1.0) if obstacle is None or obstacle.friction is None else obstacle.friction
    none = np.zeros(0, np.float32)  # those two are known in each frame
    radii = obstacle.radii if obstacle else none
    passages = Passages(contacts, rest, c, worn.hair, fps)
    skin = contacts.faces.astype(np.uint32), starts.astype(np.uint32), at_point.astype(np.uint32)
    of_step = [np.empty((count, 3), np.float32) for count in (len(rest), *[len(starts) - 1] * 3)] + [np.empty(1)]
    led = passages.ways, passages.led
    body = Body(contacts.near, contacts.clear, *skin, deepest, none, radii, none, *led, *of_step)
    gravity = np.array([0, 0, -settings.gravity]) if around.gravity is None else around.gravity
    end = pose_at(0)
    giving = Giving(worn.hair, contacts, constraints, rest, end)
    end = giving.given(end)
    moves = preroll.velocity
    x, v = end.skin.copy(), np.broadcast_to(preroll.velocity * fps, end.skin.shape).astype(np.float32)
    grip = layers.friction[order.former]
    air = worn.each("air") / worn.each("density")
    jolt = worn.each("jolt").astype(np.float32)
    jolt = jolt if np.isfinite(jolt).any() else jolt[:0]
    placed = x[order.place]
    if preroll.count:
        layer = around.direction.layer if around.direction else np.zeros(len(rest), int)
        underneath = Obstacle(end.body[None], contacts.faces) if obstacle else None
        placed = pulled_apart(placed, Stack(layer, worn.hair), given, clear, underneath, (outer, lists))
    find_seams(placed, own | all_free, outer, lists)
    x, cover = placed[order.former], order.cover(outer, inv_mass)
    lists = lists._replace(slack=lists.slack[order.former], tangled=lists.tangled[order.former])
    mender = Mender(c, inv_mass, thickness, contacts, worn)
    frames, lost, wished = np.empty(skinned.shape, np.float32), np.zeros(len(rest), bool), usual
    for step in range(preroll.count + len(skinned)):
        if step > 0:
            if around.until:
                around.until(max(0, step - preroll.count))
            start, end = end, giving.given(pose_at(step))
            moves, before = end.skin[steady].mean(0) - start.skin[steady].mean(0), moves
            if JUMP < np.linalg.norm(moves - before) < FURTHEST_JUMP:
                R, offset = (a.astype(np.float32) for a in rigid_fit(start.skin[steady], end.skin[steady]))
                x, v, moves = x @ R.T + offset, v @ R.T, before
                lists.clock[:] = 0
                body_then, normals_then = start.body @ R.T + offset, start.normals @ R.T
                if around.colliders:  # the character is cut, the scene is not
                    still = slice(-around.colliders, None)
                    body_then[still], normals_then[still] = end.body[still], end.normals[still]
                start = Pose(start.skin @ R.T + offset, body_then, normals_then)
            way = stops(start, end, c.faces, contacts.faces, contacts.places)
            rate = fps * (len(way) - 1)  # a frame in which something turns far is solved as several
            if around.direction:
                wished = around.direction.holds(step - preroll.count, hold)[order.former]
            pushes = around.accelerations(step - preroll.count - 1, x[order.place], v[order.place], sheet)
            push = _pushed(pushes if pushes is None else pushes[order.former], gravity, len(x))
            later = partial(pose_at, min(step + passages.ahead, preroll.count + len(skinned) - 1))
            for start, goal in pairwise(way):
                ahead = np.where(constraints.pinned[:, None], goal.skin, x + v / np.float32(rate))
                contacts.update(x, ahead, start.body, goal.body, start.normals)
                exits.lead(x, start)
                passages.lead(x, start, goal, later, rate)
                count = substeps_of(settings, rate, _speed(start, goal, v, contacts.places, rate))
                begin_frame(lists, count)
                share = 1 / rate / count / SUBSTEP
                fabric = Fabric(
                    air=air,
                    rub=(1 - np.exp(-rubbing / (rate * count))).astype(np.float32),
                    gravity=float(-gravity[2]),
                    thickness=thickness,
                    friction=_rescaled(worn.each("friction"), share),
                    grip=grip,
                    jolt=jolt,
                )
                rubbed = np.where(rough < 0, -1, _rescaled(np.clip(rough, 0, 1), share)).astype(np.float32)
                stray = strays(goal.body - start.body, contacts.faces, RINGS) / np.float32(count)
                body = body._replace(friction=rubbed, stray=stray)
                held = _rescaled(wished, share).astype(np.float32)
                state = State(x, v, np.empty_like(x), np.empty_like(x), inv_mass.copy())
                h = 1 / rate / count
                at = (0, DONE)
                while at[0] < count:
                    hear(progress)
                    last = (*at, at[0] + 1 + AT_ONCE // len(x))
                    at = advance(state, last, held, push, cloth, fabric, body, start, goal, h, count, (cover, lists))
                    if at[1] != DONE:
                        lost |= _freeze(state, goal.skin, constraints, cover)
                        lists = renew_lists(at[1], state.began, x, h, cover, lists)
            lost |= _freeze(state, end.skin, constraints, cover)
            x, failed, spare = brought_out(x, end, (exits, passages), c, cover, spare, may_cross(lists))
            lists.clock[FAILED] += failed
        if step >= preroll.count:
            done = frames[step - preroll.count]
            known = lists if around.device == CPU_NAME else None
            # what is mended here is seen, and swings on as it was
            seen, spare = mender.mended(x, end, cover, (spare, known), may_cross(lists), wished > usual)
            seen[lost] = np.nan
            done[:] = seen[order.place]
            if around.shown:
                around.shown(step - preroll.count, done)
            if progress:
                progress.advance()
    return frames


def hear(progress: Progress | None) -> None:
    """Raise `Cancelled` where that is wished."""
    if progress and progress.should_cancel():
        raise Cancelled(progress.stage)


def _freeze(state: State, skin: np.ndarray, constraints: Constraints, cover: Cover) -> np.ndarray:
    """Put pieces that blew up on the skin for good, in place, and let nothing meet them; which particles (P,) bool."""
    if all_within(state.x, FURTHEST):
        return np.zeros(len(state.x), bool)
    part = constraints.islands()
    broken = np.isin(part, part[~(np.abs(state.x).max(1) < FURTHEST)])
    for places in (state.x, state.began, state.previous):
        places[broken] = skin[broken]
    state.v[broken], cover.inv_mass[broken], cover.half[broken] = 0, 0, -FURTHEST
    return broken


def substeps_of(settings: ClothSettings, fps: float, speed: float) -> int:
    """Solver steps for a frame in which the fastest part moves at `speed` m/s."""
    factor = min(max(speed / REFERENCE_SPEED, MIN_FACTOR), MAX_FACTOR)
    return max(1, math.ceil(settings.substeps * factor * 24 / fps))


def _pushed(accelerations: np.ndarray | None, gravity: np.ndarray, count: int) -> np.ndarray:
    """What the kernel adds to gravity straight down: (count,3) float32 m/s^2, or no rows where that is nothing."""
    if not gravity[:2].any():
        return np.zeros((0, 3), np.float32) if accelerations is None else accelerations
    aside = np.broadcast_to(np.array([gravity[0], gravity[1], 0], np.float32), (count, 3))
    return np.ascontiguousarray(aside if accelerations is None else aside + accelerations)


def _rescaled(share: np.ndarray | float, substeps: float) -> np.ndarray:
    """A share lost in `SUBSTEP` seconds, rescaled to so many times `SUBSTEP`."""
    return 1 - (1 - np.asarray(share)) ** substeps


def _speed(start: Pose, end: Pose, v: np.ndarray, near: np.ndarray, fps: float) -> float:
    """Speed in m/s of what moves fastest: the cloth's skin, the body near it, or the cloth's fastest per cent."""
    speeds = [lengths(end.skin - start.skin).max() * fps, np.percentile(lengths(v), 99)]
    if near.size:
        speeds.append(lengths(end.body[near] - start.body[near]).max() * fps)
    return float(max(speeds))

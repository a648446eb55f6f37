"""The time loop of the cloth solver: frames, and in each as many substeps as its speed asks for."""

from __future__ import annotations

import math

import numpy as np

from ani3d_formats.errors import Cancelled
from ani3d_formats.progress import Progress

from ..mesh.kernels import limit_edges, point_normals
from ..mesh.surface import Contacts
from .constraints import Constraints
from .contact.candidates import Cover
from .contact.touch import DONE, USED, cover_of, empty_lists, go_between, renew_lists
from .fabrics import SUBSTEP, ClothSettings
from .kernels import Body, Cloth, Fabric, Pose, State, step_frame
from .preroll import JUMP, Preroll, rigid_fit
from .surroundings import Sheet, Surroundings
from .worn import Worn

REFERENCE_SPEED = 2.4  # m/s, the speed of the fastest moving part at which `ClothSettings.substeps` holds
MIN_FACTOR, MAX_FACTOR = 0.6, 4.0  # bounds of that number's factor
MAX_STRETCH = 1.2  # times its rest length, of an edge after each frame: the body may push one end of a short one far
LIMIT_ROUNDS = 12
UNSEEN = 1e-7  # metres
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

    A connected piece that blows up is NaN from that frame on, and in all frames when that was before the first one.

    Raises:
        Cancelled: between two frames, those before the first one included.
    """
    around = surroundings or Surroundings()
    obstacle = around.obstacle
    m, settings = constraints.material, worn.settings
    masses = worn.each("density") * m.sizes
    inv_mass = np.where(constraints.pinned, 0, 1 / masses).astype(np.float32)
    hold = np.maximum(worn.each("hold") * np.clip(pin_weights, 0, 1) ** 2, worn.each("shape"))
    preroll = Preroll.into(skinned, rest, constraints.pinned, settings.preroll, around.way_in)
    shortest, longest = np.zeros_like(constraints.edge_rest), np.float32(MAX_STRETCH) * constraints.edge_rest
    contacts = Contacts(obstacle, len(rest))
    c = constraints
    hinges = c.hinges, c.hinge_weights, _give(worn.each("bend")[c.hinges[:, 0]], m.bend)
    joints = c.joints, _give(worn.each("bend")[c.joints[:, 0]], m.joints)
    edges = c.edges, c.edge_rest, _give(worn.each("stretch")[c.edges[:, 0]], m.stretch)
    cloth = Cloth(inv_mass, *edges, *hinges, *joints, c.anchor, c.reach)
    rubbing = worn.each("damping")[c.edges[:, 0]] * m.stretch * inv_mass[c.edges].sum(1, dtype=np.float64)  # 1/s
    deepest = obstacle.deepest if obstacle else 0.0
    starts, at_point = contacts.around
    body = Body(contacts.near, contacts.clear, contacts.faces, starts, at_point, deepest)
    gravity = np.array([0, 0, -settings.gravity]) if around.gravity is None else around.gravity
    sheet = Sheet(c.faces, masses)
    end = _pose(preroll, skinned, rest, around, 0)
    steady = constraints.pinned if constraints.pinned.sum() >= 3 else np.ones(len(rest), bool)
    moves = preroll.velocity
    x, v = end.skin.copy(), np.broadcast_to(preroll.velocity * fps, end.skin.shape).astype(np.float32)
    layers = worn.layers(c.faces)
    cover = cover_of(layers, rest, inv_mass)
    lists, spare = empty_lists(cover), empty_lists(cover)
    air, thickness = worn.each("air") / worn.each("density"), worn.each("thickness") + worn.extra
    frames, lost = np.empty(skinned.shape, np.float32), np.zeros(len(rest), bool)
    for step in range(preroll.count + len(skinned)):
        if step > 0:
            start, end = end, _pose(preroll, skinned, rest, around, step)
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
            ahead = np.where(constraints.pinned[:, None], end.skin, x + v / np.float32(fps))
            contacts.update(x, ahead, start.body, end.body)
            count = substeps_of(settings, fps, _speed(start, end, v, contacts.near, fps))
            share = 1 / fps / count / SUBSTEP
            fabric = Fabric(
                air=air,
                rub=(1 - np.exp(-rubbing / (fps * count))).astype(np.float32),
                gravity=float(-gravity[2]),
                thickness=thickness,
                friction=_rescaled(worn.each("friction"), share),
                grip=layers.friction,
            )
            wished = around.direction.holds(step - preroll.count, hold) if around.direction else hold
            held = _rescaled(wished, share).astype(np.float32)
            push = _pushed(around.accelerations(step - preroll.count - 1, x, v, sheet), gravity, len(x))
            state, h = State(x, v, np.empty_like(x), np.empty_like(x)), 1 / fps / count
            lists.clock[USED], at = 0, (0, DONE)
            while at[0] < count:
                at = step_frame(state, at, held, push, cloth, fabric, body, start, end, h, count, (cover, lists))
                if at[1] != DONE:
                    lost |= _freeze(state, end.skin, constraints, cover)
                    lists = renew_lists(at[1], state.began, x, h, cover, lists)
            lost |= _freeze(state, end.skin, constraints, cover)
        if step >= preroll.count:
            done = frames[step - preroll.count]
            done[:] = x  # what is mended here is seen, and swings on as it was
            limit_edges(done, inv_mass, constraints.edges, shortest, longest, LIMIT_ROUNDS)
            if len(c.faces) and np.abs(done - x).max() > UNSEEN:
                spare = go_between(x, done, cover, spare)
            done[lost] = np.nan
            if around.shown:
                around.shown(step - preroll.count, done)
            if progress:
                progress.advance()
        elif progress and progress.should_cancel():
            raise Cancelled(progress.stage)
    return frames


def _freeze(state: State, skin: np.ndarray, constraints: Constraints, cover: Cover) -> np.ndarray:
    """Put pieces that blew up on the skin for good, in place, and let nothing meet them; which particles (P,) bool."""
    broken = ~(np.abs(state.x).max(1) < FURTHEST)
    if broken.any():
        part = constraints.islands()
        broken = np.isin(part, part[broken])
        for places in (state.x, state.began, state.previous):
            places[broken] = skin[broken]
        state.v[broken], cover.inv_mass[broken], cover.half[broken] = 0, 0, -FURTHEST
    return broken


def substeps_of(settings: ClothSettings, fps: float, speed: float) -> int:
    """Solver steps for a frame in which the fastest part moves at `speed` m/s."""
    factor = min(max(speed / REFERENCE_SPEED, MIN_FACTOR), MAX_FACTOR)
    return max(1, math.ceil(settings.substeps * factor * 24 / fps))


def _give(stiffness: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Compliances m/N of constraints that have these shares of a fabric's stiffness."""
    return (1 / (stiffness * shares)).astype(np.float32)


def _pushed(accelerations: np.ndarray | None, gravity: np.ndarray, count: int) -> np.ndarray:
    """What the kernel adds to gravity straight down: (count,3) float32 m/s^2, or no rows where that is nothing."""
    if not gravity[:2].any():
        return np.zeros((0, 3), np.float32) if accelerations is None else accelerations
    aside = np.broadcast_to(np.array([gravity[0], gravity[1], 0], np.float32), (count, 3))
    return np.ascontiguousarray(aside if accelerations is None else aside + accelerations)


def _rescaled(share: np.ndarray | float, substeps: float) -> np.ndarray:
    """A share lost in `SUBSTEP` seconds, rescaled to so many times `SUBSTEP`."""
    return 1 - (1 - np.asarray(share)) ** substeps


def _pose(preroll: Preroll, skinned: np.ndarray, rest: np.ndarray, around: Surroundings, step: int) -> Pose:
    """Skin and body at a step."""
    obstacle = around.obstacle
    skin = preroll.at(skinned, rest, step)
    if obstacle is None:
        nothing = np.zeros((0, 3), np.float32)
        return Pose(skin, nothing, nothing)
    body = preroll.at(obstacle.vertices, obstacle.rest, step)
    if around.colliders and step < preroll.count:
        body[-around.colliders :] = preroll.at(obstacle.vertices[:1, -around.colliders :], None, step)
    return Pose(skin, body, point_normals(body, obstacle.faces))


def _speed(start: Pose, end: Pose, v: np.ndarray, near: np.ndarray, fps: float) -> float:
    """Speed in m/s of what moves fastest: the cloth's skin, the body near it, or the cloth's fastest per cent."""
    skin = np.linalg.norm(end.skin - start.skin, axis=1).max() * fps
    speeds = [skin, np.percentile(np.linalg.norm(v, axis=1), 99)]
    if near.size:
        close = np.unique(near)
        speeds.append(np.linalg.norm(end.body[close] - start.body[close], axis=1).max() * fps)
    return float(max(speeds))

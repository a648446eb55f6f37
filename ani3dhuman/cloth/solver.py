"""The time loop of the cloth solver: frames, and in each as many substeps as its speed asks for."""

from __future__ import annotations

import math

import numpy as np

from ani3d_formats.errors import Ani3DError, Cancelled
from ani3d_formats.progress import Progress

from ..mesh.kernels import limit_edges, point_normals
from ..mesh.surface import Contacts, Obstacle
from .constraints import Constraints
from .fabrics import SUBSTEP, ClothSettings
from .kernels import step_frame
from .preroll import Preroll

REFERENCE_SPEED = 2.4  # m/s, the speed of the fastest moving part at which `ClothSettings.substeps` holds
MIN_FACTOR, MAX_FACTOR = 0.6, 4.0  # bounds of that number's factor
MAX_STRETCH = 1.2  # times its rest length, of an edge after each frame: the body may push one end of a short one far
LIMIT_ROUNDS = 12


def run(
    skinned: np.ndarray,
    rest: np.ndarray,
    constraints: Constraints,
    pin_weights: np.ndarray,
    obstacle: Obstacle | None,
    fps: float,
    settings: ClothSettings,
    progress: Progress | None = None,
) -> np.ndarray:
    """Simulate P particles over T frames; arguments and result as of `ani3dhuman.cloth.simulate.simulate`.

    Raises:
        Ani3DError: ``cloth.unstable``.
        Cancelled: between two frames, those before the first one included.
    """
    inv_mass = np.where(constraints.pinned, 0, 1).astype(np.float32)
    hold = np.maximum(settings.hold * np.clip(pin_weights, 0, 1) ** 2, settings.shape)
    preroll = Preroll.into(skinned, rest, constraints.pinned, settings.preroll)
    shortest, longest = np.zeros_like(constraints.edge_rest), np.float32(MAX_STRETCH) * constraints.edge_rest
    contacts = Contacts(obstacle, len(rest))
    skin, body, normals = _poses(preroll, skinned, rest, obstacle, 0)
    x, v = skin.copy(), np.broadcast_to(preroll.velocity * fps, skin.shape).astype(np.float32)
    frames = np.empty(skinned.shape, np.float32)
    for step in range(settings.preroll + len(skinned)):
        if step > 0:
            skin_from, body_from, normals_from = skin, body, normals
            skin, body, normals = _poses(preroll, skinned, rest, obstacle, step)
            ahead = np.where(constraints.pinned[:, None], skin, x + v / np.float32(fps))
            contacts.update(x, ahead, body_from, body)
            count = substeps_of(settings, fps, _speed(skin_from, skin, body_from, body, v, contacts.near, fps))
            share = 1 / fps / count / SUBSTEP
            step_frame(  # type: ignore[call-arg]
                x, v, inv_mass, _rescaled(hold, share).astype(np.float32), skin_from, skin,
                constraints.edges, constraints.edge_rest, constraints.hinges, constraints.hinge_weights,
                constraints.anchor, constraints.reach, contacts.near, contacts.clear,
                body_from, body, normals_from, normals, contacts.faces, *contacts.around,
                obstacle.deepest if obstacle else 0.0,
                1.0 / fps, count, settings.stretch, settings.bend, settings.damping,
                float(_rescaled(settings.viscosity, share)), settings.gravity, settings.thickness,
                float(_rescaled(settings.friction, share)),
            )  # fmt: skip
            if not np.isfinite(x).all():
                raise Ani3DError(
                    "cloth.unstable",
                    f"The cloth blew up {settings.preroll - step} frames before the shot."
                    if step < settings.preroll
                    else f"The cloth blew up in frame {step - settings.preroll} of the shot.",
                    "Look for a jump in the animation there, or choose a fabric with more substeps.",
                )
        if step >= settings.preroll:
            done = frames[step - settings.preroll]
            done[:] = x  # what is mended here is seen, and swings on as it was
            limit_edges(done, inv_mass, constraints.edges, shortest, longest, LIMIT_ROUNDS)
            if progress:
                progress.advance()
        elif progress and progress.should_cancel():
            raise Cancelled(progress.stage)
    return frames


def substeps_of(settings: ClothSettings, fps: float, speed: float) -> int:
    """Solver steps for a frame in which the fastest part moves at `speed` m/s."""
    factor = min(max(speed / REFERENCE_SPEED, MIN_FACTOR), MAX_FACTOR)
    return max(1, math.ceil(settings.substeps * factor * 24 / fps))


def _rescaled(share: np.ndarray | float, substeps: float) -> np.ndarray:
    """A share lost in `SUBSTEP` seconds, rescaled to so many times `SUBSTEP`."""
    return 1 - (1 - np.asarray(share)) ** substeps


def _poses(
    preroll: Preroll, skinned: np.ndarray, rest: np.ndarray, obstacle: Obstacle | None, step: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Skin positions, body positions and body normals at a step."""
    skin = preroll.at(skinned, rest, step)
    if obstacle is None:
        nothing = np.zeros((0, 3), np.float32)
        return skin, nothing, nothing
    body = preroll.at(obstacle.vertices, obstacle.rest, step)
    return skin, body, point_normals(body, obstacle.faces)


def _speed(
    skin_from: np.ndarray, skin: np.ndarray, body_from: np.ndarray, body: np.ndarray, v: np.ndarray, near: np.ndarray,
    fps: float,
) -> float:  # fmt: skip
    """Speed in m/s of what moves fastest: the cloth's skin, the body near it, or the cloth's fastest per cent."""
    speeds = [np.linalg.norm(skin - skin_from, axis=1).max() * fps, np.percentile(np.linalg.norm(v, axis=1), 99)]
    if near.size:
        close = np.unique(near)
        speeds.append(np.linalg.norm(body[close] - body_from[close], axis=1).max() * fps)
    return float(max(speeds))

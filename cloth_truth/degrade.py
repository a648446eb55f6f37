"""Faults put into a coarse layer on purpose: what no prior has seen, the paper's out-of-distribution case.

They are the faults that a layer of motion can have: patches of cloth that fly off, joints that collapse like candy
wrappers, and jitter. Blur and colour casts are faults of pictures; this prior moves geometry and draws the picture
again, so those would vanish without its help and are left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from ani3d_formats.regions import BODY
from ani3dhuman.clip import CoarseClip

SPIKES, SPIKE_LENGTH = 14, (0.08, 0.3)  # a clip; metres
PATCH = 0.05  # metres of cloth about a spike's tip that are pulled along
FLICKER = 0.5  # share of frames in which a spike shows
SAG = 0.06  # metres that the whole cloth is off, changing slowly
JITTER = 0.004  # metres a frame, each vertex by itself
COLLAPSE, REACH = 0.75, 0.07  # how far a joint's skin is pulled to the bone, and metres about the joint


def degraded(clip: CoarseClip, shot_joints: np.ndarray, seed: int) -> CoarseClip:
    """The clip with a faulty coarse layer; its rigid layer stays.

    Args:
        clip: its rigid layer is what faults are put into.
        shot_joints: (T,J,3) world positions of the joints that collapse.
        seed: of all faults.
    """
    rng = np.random.default_rng([seed, 11])
    rigid = clip.rigid_vertices
    vertices = rigid.astype(np.float64).copy()
    frames = len(vertices)
    free = clip.freedom[:, None].astype(np.float64)
    time = np.arange(frames)[:, None, None] / frames
    phase, direction = rng.uniform(0, 2 * np.pi, 3), rng.normal(size=3)
    vertices += SAG * free * direction / np.linalg.norm(direction) * np.sin(2 * np.pi * 1.5 * time + phase)
    loose = np.flatnonzero(clip.freedom > 0.7)
    for _ in range(SPIKES if len(loose) else 0):
        tip = clip.bind_vertices[rng.choice(loose)]
        gap = np.linalg.norm(clip.bind_vertices[loose] - tip, axis=1)
        pull = np.exp(-((gap / rng.uniform(0.2, 1.0) / PATCH) ** 2))
        away = rng.normal(size=3) + np.array([0, 0, 0.3])
        shown = (rng.random(frames) < FLICKER)[:, None, None]
        vertices[:, loose] += shown * pull[:, None] * away / np.linalg.norm(away) * rng.uniform(*SPIKE_LENGTH)
    vertices += JITTER * free * rng.normal(size=vertices.shape)
    skin = np.flatnonzero(clip.vertex_regions == BODY)
    for t in range(frames):
        gap, near = cKDTree(shot_joints[t]).query(rigid[t, skin])
        weight = COLLAPSE * np.clip(1 - gap / REACH, 0, 1)[:, None]
        vertices[t, skin] += weight * (shot_joints[t][near] - vertices[t, skin])
    return replace(clip, vertices=vertices.astype(np.float32))

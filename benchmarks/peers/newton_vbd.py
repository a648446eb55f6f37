"""Cloth by Newton's VBD on the CPU, self-contact on: python newton_vbd.py IN.npz OUT.npz, in an environment of its own.

IN.npz is what `benchmarks.cloth.peers` writes. The body is held by particles without mass that are put where the frame
has them; OUT.npz holds `vertices` (T,P,3), `frames` that were done within `limit`, and `seconds`, the processor's.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import newton
import numpy as np
import warp as wp

SUBSTEPS, ITERATIONS = 10, 8  # those of Newton's own examples of cloth, at 60 frames a second
MARGIN, GAP = 0.004, 0.004  # metres


def main() -> None:
    arrays = dict(np.load(sys.argv[1]))
    wp.init()
    wp.set_device("cpu")
    cloth, body, pinned = arrays["cloth"], arrays["body"], arrays["pins"] > 0.5
    rest, fps, limit = arrays["rest"].astype(float), float(arrays["fps"]), float(arrays["limit"])
    count, frames = len(rest), len(cloth)
    points = np.concatenate([rest, body[0].astype(float)])
    faces = np.concatenate([arrays["cloth_faces"], arrays["body_faces"] + count])
    builder = newton.ModelBuilder(gravity=(0.0, 0.0, -9.81))
    builder.add_cloth_mesh(
        pos=wp.vec3(0.0, 0.0, 0.0),
        rot=wp.quat_identity(),
        scale=1.0,
        vel=wp.vec3(0.0, 0.0, 0.0),
        vertices=[wp.vec3(*map(float, p)) for p in points],
        indices=faces.reshape(-1).astype(int).tolist(),
        density=0.2,
        tri_ke=1e3,
        tri_ka=1e3,
        tri_kd=2e-7,
        edge_ke=1e-3,
        edge_kd=1e-2,
        particle_radius=MARGIN,
    )
    builder.color()
    model = builder.finalize()
    model.soft_contact_ke, model.soft_contact_kd, model.soft_contact_mu = 1e4, 1e-2, 0.2
    led = np.concatenate([np.flatnonzero(pinned), count + np.arange(len(points) - count)])
    flags = model.particle_flags.numpy()
    flags[led] &= ~int(newton.ParticleFlags.ACTIVE)
    model.particle_flags = wp.array(flags)
    solver = newton.solvers.SolverVBD(
        model,
        iterations=ITERATIONS,
        particle_enable_self_contact=True,
        particle_self_contact_margin=MARGIN,
        particle_self_contact_gap=GAP,
    )
    now, after, control = model.state(), model.state(), model.control()
    goals = np.concatenate([cloth[:, pinned], body], axis=1).astype(np.float32)
    now.particle_q.numpy()[:count] = cloth[0]
    now.particle_q.numpy()[led] = goals[0]
    solver.step(now, after, control, None, 1e-5)  # compiles before the clock starts
    now.particle_q.numpy()[:count] = cloth[0]
    now.particle_q.numpy()[led] = goals[0]
    now.particle_qd.numpy()[:] = 0
    moved = np.full(cloth.shape, np.nan, np.float32)
    moved[0], done, began = cloth[0], 1, time.process_time()
    for t in range(1, frames):
        for part in range(1, SUBSTEPS + 1):
            share = np.float32(part / SUBSTEPS)
            place = (1 - share) * goals[t - 1] + share * goals[t]
            now.particle_q.numpy()[led] = place
            after.particle_q.numpy()[led] = place
            now.clear_forces()
            solver.step(now, after, control, None, 1 / fps / SUBSTEPS)
            now, after = after, now
        moved[t], done = now.particle_q.numpy()[:count], t + 1
        if time.process_time() - began > limit:
            break
    seconds = time.process_time() - began
    np.savez(Path(sys.argv[2]), vertices=moved, frames=done, seconds=seconds)


if __name__ == "__main__":
    main()

"""Cloth by Newton's VBD on the CPU, self-contact on: python newton_vbd.py IN.npz OUT.npz, in an environment of its own.

IN.npz is what `benchmarks.cloth.peers` writes. The body is a mesh shape whose points are moved in every substep, with
their velocities. OUT.npz holds `vertices` (T,P,3), `frames` that were done within `limit`, and `seconds`, the
processor's. Compiling is outside the clock.

Numbers are those of Newton 1.8's own examples of cloth in metres. `cloth_twist`: density, stiffness, damping,
self-contact and its buffers, iterations. `cloth_style3d`: the radius of particles about a person. `cloth_h1`: no
friction on the body. `cloth_franka`: contact is looked for between all triangles that share no vertex.
`cloth_twist` takes 600 steps a second: here there are fewer, but as many as the fastest vertex that is led needs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import newton
import numpy as np
import warp as wp

STEP, ITERATIONS = 1 / 300, 4  # seconds at most
MARGIN, GAP = 0.004, 0.006  # metres of self-contact: the fastest vertices move several millimetres in a substep
RADIUS = 0.005  # metres that particles keep from the body
REACH = 0.05  # metres inside the body from which particles are pushed out
STIFF, DAMPED = 1e5, 1e1  # those of `cloth_poker_cards` for a body that moves: with 1e4 a kick goes 32 mm deep, not 2
# VBD lets a vertex move by .85 / 2 of margin and gap after each search for contact. There is one before a substep's
# inertial move and one after it: cloth that is led farther in a substep stays behind and is torn.
FARTHEST = 0.85 / 2 * (MARGIN + GAP)  # metres a substep


def model_of(arrays: dict[str, np.ndarray]) -> tuple[newton.Model, wp.Mesh]:
    """The cloth's particles, of which those that are pinned are held, and the body's mesh."""
    builder = newton.ModelBuilder(gravity=(0.0, 0.0, -9.81))
    builder.add_cloth_mesh(
        pos=wp.vec3(0.0, 0.0, 0.0),
        rot=wp.quat_identity(),
        scale=1.0,
        vel=wp.vec3(0.0, 0.0, 0.0),
        vertices=[wp.vec3(*map(float, p)) for p in arrays["rest"]],
        indices=arrays["cloth_faces"].reshape(-1).astype(int).tolist(),
        density=0.2,
        tri_ke=1e3,
        tri_ka=1e3,
        tri_kd=2e-4,
        edge_ke=1e-3,
        edge_kd=1e-2,
        particle_radius=RADIUS,
    )
    body = arrays["body"]
    mesh = newton.Mesh(body[0], arrays["body_faces"].reshape(-1).astype(np.int32), compute_inertia=False)
    surface = newton.ModelBuilder.ShapeConfig(ke=STIFF, kd=DAMPED, mu=0.0)
    builder.add_shape_mesh(body=-1, mesh=mesh, cfg=surface)
    builder.color()
    model = builder.finalize()
    model.shape_collision_aabb_lower.numpy()[0] = body.min((0, 1))  # in all frames
    model.shape_collision_aabb_upper.numpy()[0] = body.max((0, 1))
    model.soft_contact_ke, model.soft_contact_kd, model.soft_contact_mu = 1e3, 1e-1, 0.2
    flags = model.particle_flags.numpy()
    flags[arrays["pins"] > 0.5] &= ~int(newton.ParticleFlags.ACTIVE)
    return model, mesh.mesh


def main() -> None:
    arrays = dict(np.load(sys.argv[1]))
    wp.init()
    wp.set_device("cpu")
    cloth, body, pinned = arrays["cloth"], arrays["body"].astype(np.float32), arrays["pins"] > 0.5
    fps, limit, frames = float(arrays["fps"]), float(arrays["limit"]), len(cloth)
    model, skin = model_of(arrays | {"body": body})
    solver = newton.solvers.SolverVBD(
        model,
        iterations=ITERATIONS,
        particle_enable_self_contact=True,
        particle_self_contact_margin=MARGIN,
        particle_self_contact_gap=GAP,
        particle_vertex_contact_buffer_size=64,
        particle_edge_contact_buffer_size=128,
        particle_topological_contact_filter_threshold=1,
    )
    finder = newton.CollisionPipeline(model, soft_contact_gap=REACH)
    contacts, control = finder.contacts(), model.control()
    now, after = model.state(), model.state()
    now.particle_q.numpy()[:] = cloth[0]
    finder.collide(now, contacts)
    solver.step(now, after, control, contacts, 1e-5)  # compiles before the clock starts
    now.particle_q.numpy()[:] = cloth[0]
    now.particle_qd.numpy()[:] = 0
    moved = np.full(cloth.shape, np.nan, np.float32)
    moved[0], done, began = cloth[0], 1, time.process_time()
    for t in range(1, frames):
        farthest = np.linalg.norm(cloth[t] - cloth[t - 1], axis=1).max()
        substeps = int(np.ceil(max(round(1 / fps / STEP, 6), farthest / FARTHEST)))
        skin.velocities.numpy()[:] = (body[t] - body[t - 1]) * np.float32(fps)
        solver.rebuild_bvh(now)
        for part in range(1, substeps + 1):
            share = np.float32(part / substeps)
            skin.points.numpy()[:] = (1 - share) * body[t - 1] + share * body[t]
            skin.refit()
            held = (1 - share) * cloth[t - 1, pinned] + share * cloth[t, pinned]
            now.particle_q.numpy()[pinned] = held
            after.particle_q.numpy()[pinned] = held
            now.clear_forces()
            finder.collide(now, contacts)
            solver.step(now, after, control, contacts, 1 / fps / substeps)
            now, after = after, now
            if time.process_time() - began > limit:
                break
        else:
            moved[t], done = now.particle_q.numpy(), t + 1
            continue
        break
    seconds = time.process_time() - began
    np.savez(Path(sys.argv[2]), vertices=moved, frames=done, seconds=seconds)


if __name__ == "__main__":
    main()

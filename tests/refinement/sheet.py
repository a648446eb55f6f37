"""A hanging sheet before a still wall, one camera, and a video of the sheet swinging in a known way; a ball to add."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ani3d_formats.camera import CameraPath
from ani3dhuman.avatar.binding import SurfaceBinding
from ani3dhuman.refinement import LossWeights, RefinementProblem, RestoredView
from ani3dhuman.rendering import rasterize
from ani3dhuman.rendering.draw import BLUR

SIDE, T, SIZE = 11, 10, 96
SOFT = LossWeights(rigidity=0.5, stretch=2.0)  # how it moves here stretches it, which woven cloth would not bear


def turn(angle: float) -> np.ndarray:
    """Rotation about the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)


def grid(width: float, y: float, top: float, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A square of side x side vertices facing -Y, hanging from height `top`; vertices and faces."""
    x, z = np.meshgrid(np.linspace(-width / 2, width / 2, side), np.linspace(top, top - width, side))
    vertices = np.stack([x, np.full_like(x, y), z], -1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    quads = np.stack([corner, corner + 1, corner + side + 1, corner + side], -1)
    return vertices, np.concatenate([quads[:, [0, 2, 1]], quads[:, [0, 3, 2]]])


def render(
    problem: RefinementProblem, vertices: np.ndarray, view: RestoredView | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Whole pictures (T,H,W,3) and alpha (T,H,W) of mesh vertices (T,V,3), from a view; None: the problem's first."""
    pictures, alphas = [], []
    view = view or problem.views[0]
    cameras = view.cameras
    for t in range(len(vertices)):
        means, quats = problem.binding.pose(torch.from_numpy(vertices[t]))
        gaussians = (means, quats, torch.from_numpy(problem.scales), torch.from_numpy(problem.opacities))
        colors, alpha, _ = rasterize(
            *gaussians,
            torch.from_numpy(np.array(view.colors[t])),
            torch.from_numpy(cameras.viewmats[t : t + 1]),
            torch.from_numpy(cameras.Ks[t : t + 1]),
            width=cameras.width,
            height=cameras.height,
            eps2d=BLUR,
            backgrounds=torch.from_numpy(problem.background)[None],
            camera_model="ortho" if cameras.camera_type == "orthographic" else "pinhole",
        )
        pictures.append(colors[0].numpy())
        alphas.append(alpha[0, ..., 0].numpy())
    return np.stack(pictures), np.stack(alphas)


def seen(problem: RefinementProblem, **changes: object) -> RefinementProblem:
    """The problem with changes to its one view."""
    (view,) = problem.views
    return replace(problem, views=(replace(view, **changes),))


def show(problem: RefinementProblem, vertices: np.ndarray, cameras: CameraPath) -> RestoredView:
    """A view from `cameras` whose video shows `vertices` (T,V,3), and whose mask the sheet of the coarse layer."""
    colors = problem.views[0].colors
    empty = np.zeros((len(cameras), cameras.height, cameras.width), np.float32)
    view = RestoredView(cameras, target=np.repeat(empty[..., None], 3, -1), garment_mask=empty, colors=colors)
    loose = (problem.gates[problem.faces[problem.binding.triangle_ids.numpy()]] > 0).any(1)
    binding = problem.binding
    sheet_only = replace(
        problem,
        binding=SurfaceBinding(
            binding.faces, binding.triangle_ids[loose], binding.barycentrics[loose], binding.local_quats[loose]
        ),
        scales=problem.scales[loose],
        opacities=problem.opacities[loose],
        views=(replace(problem.views[0], colors=colors[:, loose]),),
    )
    mask = render(sheet_only, problem.coarse_vertices, replace(view, colors=colors[:, loose]))[1]
    target = render(problem, vertices, view)[0]
    return replace(view, target=target, garment_mask=(mask > 0.3).astype(np.float32))


def blown(problem: RefinementProblem, metres: float) -> np.ndarray:
    """The coarse layer (T,V,3) with its hem away from the camera, which stands on the -Y side."""
    hang = np.clip(1.5 - problem.bind_vertices[:, 2], 0, 1) * (problem.gates > 0)
    return problem.coarse_vertices + (hang[:, None] * [0, metres, 0]).astype(np.float32)


def ball(centre: tuple[float, float, float], radius: float) -> tuple[np.ndarray, np.ndarray]:
    """A sphere's vertices and faces, normals outwards."""
    rings, columns = 12, 20
    polar, round_ = np.meshgrid(np.linspace(0, np.pi, rings), np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    away = np.stack([np.sin(polar) * np.cos(round_), np.sin(polar) * np.sin(round_), np.cos(polar)], -1)
    here = (np.arange(rings - 1)[:, None] * columns + np.arange(columns)).ravel()
    beside = (np.arange(rings - 1)[:, None] * columns + (np.arange(columns) + 1) % columns).ravel()
    upper, lower = (
        np.stack([here, here + columns, beside + columns], -1),
        np.stack([here, beside + columns, beside], -1),
    )
    faces = np.concatenate([upper[:-columns], lower[columns:]])  # the others have no area, at the poles
    return (np.array(centre) + radius * away.reshape(-1, 3)).astype(np.float32), faces


def with_body(problem: RefinementProblem, vertices: np.ndarray, faces: np.ndarray) -> RefinementProblem:
    """The problem with a still body (B,3) that is not drawn."""
    count = len(problem.gates)
    still = np.repeat(vertices[None], problem.frames, 0)
    unturned = np.broadcast_to(np.eye(3, dtype=np.float32), (*still.shape[:2], 3, 3))
    return replace(
        problem,
        coarse_vertices=np.concatenate([problem.coarse_vertices, still], 1),
        bind_vertices=np.concatenate([problem.bind_vertices, vertices]),
        gates=np.concatenate([problem.gates, np.zeros(len(vertices), np.float32)]),
        blended_rotations=np.concatenate([problem.blended_rotations, unturned], 1),
        faces=np.concatenate([problem.faces, faces + count]),
        body_faces=faces + count,
    )


def swinging_sheet() -> tuple[RefinementProblem, np.ndarray]:
    """The problem, and the true vertices (T,V,3) that its target video shows."""
    rng = np.random.default_rng(5)
    sheet, sheet_faces = grid(1.0, 0.0, 1.5, SIDE)
    wall, wall_faces = grid(1.6, 0.4, 1.8, 5)
    bind = np.concatenate([sheet, wall])
    faces = np.concatenate([sheet_faces, wall_faces + len(sheet)])
    hang = np.clip((1.5 - bind[:, 2]) / 1.0, 0, 1)  # 0 at the rod, 1 at the hem
    gates = np.where(np.arange(len(bind)) < len(sheet), np.clip(hang * 3, 0, 1), 0).astype(np.float32)

    angles = np.linspace(-0.3, 0.3, T)
    rotations = np.stack([turn(a) for a in angles])
    coarse = np.einsum("tij,vj->tvi", rotations, bind).astype(np.float32)
    phase = np.pi * np.arange(T) / T  # half a swing: a whole one in ten frames would be a flag, not a skirt
    wave = np.sin(phase[:, None] + 0.6 * bind[:, 0] - 1.5 * hang)
    local = np.stack([0.07 * wave, 0.03 * wave, 0.02 * np.cos(phase)[:, None] * hang], -1) * (gates * hang)[:, None]
    truth = coarse + np.einsum("tij,tvj->tvi", rotations, local).astype(np.float32)

    on_sheet, on_wall = len(sheet_faces) * 2, len(wall_faces) * 3
    ids = np.concatenate(
        [
            np.repeat(np.arange(len(sheet_faces)), 2),
            len(sheet_faces) + np.repeat(np.arange(len(wall_faces)), 3),
        ]
    )
    count = on_sheet + on_wall
    quats = np.zeros((count, 4), np.float32)
    quats[:, 0] = 1
    binding = SurfaceBinding(
        torch.from_numpy(faces),
        torch.from_numpy(ids),
        torch.from_numpy(rng.dirichlet([2, 2, 2], count).astype(np.float32)),
        torch.from_numpy(quats),
    )
    scales = np.where(np.arange(count)[:, None] < on_sheet, [[0.035, 0.035, 0.004]], [[0.15, 0.15, 0.01]])
    places = binding.interpolate(torch.from_numpy(bind)).numpy()
    stripes = 0.5 + 0.5 * np.stack([np.sin(9 * places[:, 0]), np.sin(11 * places[:, 2]), np.cos(7 * places[:, 0])], -1)
    colors = np.where(np.arange(count)[:, None] < on_sheet, stripes, [[0.75, 0.72, 0.7]]).astype(np.float32)

    viewmat = np.array([[1, 0, 0, 0], [0, 0, -1, 1.0], [0, 1, 0, 2.2], [0, 0, 0, 1]], np.float32)
    K = np.array([[130, 0, SIZE / 2], [0, 130, SIZE / 2], [0, 0, 1]], np.float32)
    cameras = CameraPath(np.repeat(viewmat[None], T, 0), np.repeat(K[None], T, 0), SIZE, SIZE)
    problem = RefinementProblem(
        coarse_vertices=coarse,
        bind_vertices=bind,
        gates=gates,
        blended_rotations=np.repeat(rotations[:, None], len(bind), 1),
        faces=faces,
        binding=binding,
        scales=scales.astype(np.float32),
        opacities=np.full(count, 0.9, np.float32),
        views=(
            RestoredView(
                cameras,
                target=np.zeros((T, SIZE, SIZE, 3), np.float32),
                garment_mask=np.ones((T, SIZE, SIZE), np.float32),
                colors=np.broadcast_to(colors, (T, count, 3)),
            ),
        ),
        background=np.array([0.2, 0.25, 0.3], np.float32),
    )
    return replace(problem, views=(show(problem, truth, cameras),)), truth


def shaded(problem: RefinementProblem, truth: np.ndarray) -> RefinementProblem:
    """The problem with a video in which a dark band wanders over the moving sheet (T,V,3), as no light of ours does."""
    (view,) = problem.views
    places = problem.binding.interpolate(torch.from_numpy(problem.bind_vertices)).numpy()
    on_sheet = (problem.gates[problem.faces[problem.binding.triangle_ids.numpy()]] > 0).any(1)
    centres = np.linspace(-0.35, 0.35, problem.frames)[:, None]
    dark = np.exp(-(((places[:, 0] - centres) / 0.12) ** 2)) * np.clip(3 - 2 * places[:, 2], 0, 1) * on_sheet
    colors = np.clip(view.colors - 0.2 * dark[..., None], 0, 1).astype(np.float32)
    target = render(problem, truth, replace(view, colors=colors))[0]
    return seen(problem, target=target)

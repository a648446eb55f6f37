"""A human who moves, made of numbers, and the files that other programs would write of the same motion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from human_rig import bones, human_shot
from scipy.spatial.transform import Rotation

from ani3d_formats.shot import Shot
from ani3dhuman.gltf.writer import GlbWriter

PARENTS = {
    "hips": None, "spine": "hips", "neck": "spine", "head": "neck", "clavicle": "spine", "upperarm": "clavicle",
    "lowerarm": "upperarm", "hand": "lowerarm", "upperleg": "hips", "lowerleg": "upperleg", "foot": "lowerleg",
    "toes": "foot",
}  # fmt: skip
Z_TO_Y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass(frozen=True)
class Figure:
    """Joints at rest (J,3), Z up and facing -Y, metres; local turns (T,J,3,3) in world axes at rest, hips (T,3)."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    rest: np.ndarray
    turns: np.ndarray
    hips: np.ndarray

    def posed(self) -> tuple[np.ndarray, np.ndarray]:
        """Turns from rest (T,J,3,3) and places (T,J,3) in the world."""
        world, places = self.turns.copy(), np.repeat(self.rest[None], len(self.turns), 0)
        for j, parent in enumerate(self.parents):
            if parent < 0:
                places[:, j] = self.hips
            else:
                world[:, j] = world[:, parent] @ self.turns[:, j]
                way = self.rest[j] - self.rest[parent]
                places[:, j] = places[:, parent] + world[:, parent] @ way
        return world, places


def figure(frames: int = 6, amount: float = 0.3, fingers: bool = True, seed: int = 0) -> Figure:
    """The rig of `human_rig`, turned at random everywhere and walking off."""
    ends = bones(fingers)
    order = sorted(ends, key=lambda name: _depth(name))
    parents = tuple(order.index(above) if (above := _above(name)) else -1 for name in order)
    rng = np.random.default_rng(seed)
    turns = Rotation.from_rotvec(rng.normal(0, amount, (frames * len(order), 3))).as_matrix()
    rest = np.array([ends[name][0] for name in order], float)
    hips = rest[0] + np.arange(frames)[:, None] * [0.02, -0.03, 0.004]
    return Figure(tuple(order), parents, rest, turns.reshape(frames, len(order), 3, 3), hips)


def _above(name: str) -> str | None:
    stem, _, side = name.partition(".")
    if stem[-1].isdigit():
        return f"hand.{side}" if stem[-1] == "1" else f"{stem[:-1]}{int(stem[-1]) - 1}.{side}"
    above = PARENTS[stem]
    return above and (above if above in ("hips", "spine", "neck") else f"{above}.{side}")


def _depth(name: str) -> int:
    above = _above(name)
    return 0 if above is None else 1 + _depth(above)


def shot_of(figure: Figure, rename=lambda name: name, scale: float = 1.0) -> Shot:
    """A shot in which the rig of `human_rig` moves as the figure does; its bones have no parents."""
    shot = human_shot(rename=rename)
    world, places = figure.posed()
    index = {name: j for j, name in enumerate(figure.names)}
    back = {rename(name): index[name] for name in figure.names}
    rows = [back[name] for name in shot.meta.bones]
    pose = np.tile(np.eye(4), (len(world), len(rows), 1, 1))
    pose[..., :3, :3] = world[:, rows] @ shot["bone_rest"][:, :3, :3]
    pose[..., :3, 3] = places[:, rows]
    return shot.moved(pose).scaled(scale)


def write_bvh(path: Path, figure: Figure, rename=lambda name: name, unit: float = 100.0, fps: float = 24.0) -> Path:
    """The figure as BVH, Y up."""
    offsets = np.array(
        [place - (figure.rest[p] if p >= 0 else 0) for place, p in zip(figure.rest, figure.parents, strict=True)]
    )
    order: list[int] = []

    def joint(j: int) -> list[str]:
        order.append(j)
        x, y, z = unit * Z_TO_Y @ offsets[j]
        moved = "Xposition Yposition Zposition " if figure.parents[j] < 0 else ""
        lines = [
            f"{'JOINT' if moved == '' else 'ROOT'} {rename(figure.names[j])}",
            "{",
            f"OFFSET {x:.8f} {y:.8f} {z:.8f}",
        ]
        lines.append(f"CHANNELS {6 if moved else 3} {moved}Zrotation Xrotation Yrotation")
        for child, parent in enumerate(figure.parents):
            if parent == j:
                lines += joint(child)
        return [*lines, "}"]

    text = ["HIERARCHY", *joint(0), "MOTION", f"Frames: {len(figure.turns)}", f"Frame Time: {1 / fps:.9f}"]
    for t, turns in enumerate(figure.turns):
        row = list(unit * Z_TO_Y @ figure.hips[t])
        for j in order:
            row += list(Rotation.from_matrix(Z_TO_Y @ turns[j] @ Z_TO_Y.T).as_euler("ZXY", degrees=True))
        text.append(" ".join(f"{value:.9f}" for value in row))
    path.write_text("\n".join(text) + "\n")
    return path


def write_glb(path: Path, figure: Figure, fps: float = 24.0) -> Path:
    """The figure as the joints of a skin, with a clip "walk" that moves them."""
    glb = GlbWriter()
    count, frames = len(figure.names), len(figure.turns)
    rest = figure.rest @ Z_TO_Y.T
    bind = np.tile(np.eye(4), (count, 1, 1))
    bind[:, :3, 3] = -rest
    nodes: list[dict[str, object]] = []
    for j, name in enumerate(figure.names):
        parent = figure.parents[j]
        place = rest[j] - (rest[parent] if parent >= 0 else 0)
        children = [c for c, p in enumerate(figure.parents) if p == j]
        nodes.append({"name": name, "translation": place.tolist()} | ({"children": children} if children else {}))
    times = glb.add(np.arange(frames) / fps, target=None, bounds=True)
    samplers, channels = [], []
    quats = (
        Rotation.from_matrix((Z_TO_Y @ figure.turns @ Z_TO_Y.T).reshape(-1, 3, 3)).as_quat().reshape(frames, count, 4)
    )
    tracks = [(j, "rotation", quats[:, j]) for j in range(count)] + [(0, "translation", figure.hips @ Z_TO_Y.T)]
    for node, what, values in tracks:
        channels.append({"sampler": len(samplers), "target": {"node": node, "path": what}})
        samplers.append({"input": times, "output": glb.add(values, target=None)})
    glb.document |= {
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
        "skins": [{"joints": list(range(count)), "inverseBindMatrices": glb.add(bind, target=None)}],
        "animations": [{"name": "walk", "samplers": samplers, "channels": channels}],
    }
    glb.write(path)
    return path


def with_turns(figure: Figure, turns: dict[str, np.ndarray], hips: np.ndarray | None = None) -> Figure:
    """The figure with these turns (T,3,3) of some joints and none of the others."""
    frames = len(next(iter(turns.values())))
    local = np.tile(np.eye(3), (frames, len(figure.names), 1, 1))
    for name, values in turns.items():
        local[:, figure.names.index(name)] = values
    return replace(figure, turns=local, hips=np.repeat(figure.rest[:1], frames, 0) if hips is None else hips)

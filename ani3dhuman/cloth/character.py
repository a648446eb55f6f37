"""The physics layer: a whole character's garments, then its hair, simulated over the skinned body."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock

import numpy as np

from ani3d_formats.progress import Progress, Report
from ani3d_formats.regions import GARMENT, HAIR, is_loose
from ani3d_formats.shot import Shot
from ani3d_formats.shot_meta import ObjectRange

from ..device import CPU_NAME
from ..mesh.surface import Obstacle
from .art_direction import fabric_of
from .constraints import PINNED
from .fabrics import FABRICS, LOCK, ClothSettings
from .garment import Garment, Tell, simulate_garment
from .hair_meshes import worn_hair
from .in_step import Arriving, in_step
from .simulate import check
from .strands import simulate_strands
from .surroundings import NOTHING, Surroundings
from .worn import Worn

COST = 5e-5  # processor seconds of a free vertex in a frame (docs/benchmarks/cloth.md)
LONG = 1.0  # minutes from which on it is said beforehand

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Layer:
    """What is simulated at once: vertices (P,), what they are of, and which faces (F,) bool are the body to them.

    `strands`: the points of each strand, where they are ribbons; 0 for a mesh. `met`: (M,) vertices of what has been
    simulated before and must not be crossed.
    """

    own: np.ndarray
    worn: Worn
    beneath: np.ndarray
    strands: int = 0
    met: np.ndarray = field(default_factory=lambda: np.zeros(0, int))


def simulate_character(
    skinned: np.ndarray,
    faces: np.ndarray,
    bind_vertices: np.ndarray,
    regions: np.ndarray,
    pin_weights: np.ndarray,
    fps: float,
    garment: ClothSettings = FABRICS["generic"],
    progress: Progress | None = None,
) -> np.ndarray:
    """Let a whole character's garment, then its hair, swing over what lies beneath.

    Args:
        skinned: (T,V,3) all vertices as the skeleton gives them, world metres.
        faces: (F,3); bind_vertices: (V,3).
        regions: (V,) indices into `ani3d_formats.regions.REGIONS`.
        pin_weights: (V,) 1 on the skin .. 0 free; only read for garment and hair.
        fps: scene frames a second.
        garment: its fabric; hair has its own.
        progress: advanced up to its total.

    Returns:
        (T,V,3) float32; body and face are untouched. A piece that blows up, leaves the body by more than its own size
        or is torn follows the skeleton.

    Raises:
        Ani3DError: ``cloth.shape``, ``cloth.faces``, ``cloth.not_finite``, ``cloth.fps``.
        Cancelled: within one frame of the request.
    """
    check(skinned, faces, bind_vertices, pin_weights, fps)
    own = np.flatnonzero(regions == GARMENT)
    whole = Garment(faces, bind_vertices, pin_weights)
    layers = _layers(whole, regions, own, Worn.of(garment, len(own)))
    return _simulate(skinned, whole, fps, layers, Surroundings(), progress, lambda reason, own: None)


def simulate_shot(
    shot: Shot,
    skinned: np.ndarray,
    pin_weights: np.ndarray,
    garment: ClothSettings,
    progress: Progress | None = None,
    warn: Warn = lambda text: None,
    surroundings: Surroundings = NOTHING,
) -> np.ndarray:
    """Let the garments and the hair of a shot swing: `simulate_character`, with what the shot says of its objects.

    Args:
        skinned: (T,V,3) the rigid layer, world metres.
        pin_weights: (V,) 1 on the skin .. 0 free.
        garment: the fabric of objects that name none.
        warn: called with a sentence on each object of which pieces follow the skeleton.
        surroundings: the scene's colliders, without the character's own body, gravity and forces.

    Raises:
        Ani3DError, Cancelled: as `simulate_character`.
    """
    check(skinned, shot["faces"], shot["vertices"], pin_weights, shot.meta.fps)
    regions = shot["region_ids"]
    own, worn = _garments(shot, garment, warn)
    strands = [item for item in shot.meta.objects if item.strands and is_loose(regions[item.rows]).all()]
    whole = Garment(shot["faces"], shot["vertices"], pin_weights)
    layers = _layers(whole, regions, own, worn, strands)

    def tell(reason: str, own: np.ndarray) -> None:
        for text in sentences(shot, [own], reason):
            warn(text)

    moved = _simulate(skinned, whole, shot.meta.fps, layers, surroundings, progress, tell)
    return surroundings.direction.blended(moved, skinned) if surroundings.direction else moved


UNHELD = "nothing holds {it}"


def sentences(shot: Shot, pieces: Sequence[np.ndarray], reason: str = UNHELD) -> list[str]:
    """A warning for each object with vertices in `pieces`: these follow the skeleton for a `reason` about {it}."""
    chosen = np.zeros(len(shot["vertices"]), bool)
    for piece in pieces:
        chosen[piece] = True
    loose, found = is_loose(shot["region_ids"]), []
    for item in shot.meta.objects:
        if chosen[item.rows].any():
            whole = chosen[item.rows][loose[item.rows]].all()
            why = reason.format(it="it" if whole else "a part of it")
            what = "it" if whole else "that part"
            hint = " Paint the vertex group ani3d_pin where it is fastened, or bring it nearer to the body."
            found.append(f"Object '{item.name}': {why}; {what} follows the skeleton.{hint if reason == UNHELD else ''}")
    return found


def _garments(shot: Shot, usual: ClothSettings, warn: Warn) -> tuple[np.ndarray, Worn]:
    """The vertices of a shot's garments, and what they are of; `usual`: the fabric of objects that name none."""
    regions, rows, fabrics = shot["region_ids"], [], []
    for item in shot.meta.objects:
        rows.append(item.vertex_start + np.flatnonzero((regions[item.rows] == GARMENT) & (item.strands == 0)))
        fabrics.append(fabric_of(item, usual, warn))
    garment = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
    own = np.concatenate([np.zeros(0, int), *rows])
    return own, Worn(tuple(fabrics), garment, garment, np.zeros(len(garment)))


def _layers(
    whole: Garment, regions: np.ndarray, own: np.ndarray, worn: Worn, strands: Sequence[ObjectRange] = ()
) -> list[Layer]:
    """Garments (P,) vertices over the skin, together; then hair over both; `whole` is the mesh of all."""
    faces = whole.faces
    face_region = regions[faces].max(axis=1, initial=0)
    layers = [Layer(own, worn, ~is_loose(face_region))]
    hair, solid = regions == HAIR, face_region != HAIR
    for item in strands:
        hair[item.rows] = False
        solid &= (faces[:, 0] < item.rows.start) | (faces[:, 0] >= item.rows.stop)
    rows = np.flatnonzero(hair)
    layers.append(Layer(rows, worn_hair(whole.part(rows)), solid, met=own))
    for s in strands:
        layers.append(
            Layer(
                np.arange(s.rows.start, s.rows.stop),
                Worn.of(LOCK, s.vertex_count, hair=True),
                solid,
                s.strands,
            )
        )
    return layers


def _simulate(
    skinned: np.ndarray,
    whole: Garment,
    fps: float,
    layers: list[Layer],
    surroundings: Surroundings,
    progress: Progress | None,
    tell: Callable[[str, np.ndarray], None],
) -> np.ndarray:
    """All layers, one over the other; `whole` is the mesh of all."""
    skinned = skinned.astype(np.float32)
    moved = skinned.copy()
    chosen = [layer for layer in layers if len(layer.own) and (whole.pins[layer.own] <= PINNED).any()]
    if progress:
        free = sum(int((whole.pins[layer.own] <= PINNED).sum()) for layer in layers)
        way_in = max((fabric.preroll for layer in layers for fabric in layer.worn.fabrics), default=0)
        progress.advance(0 if chosen else progress.total, foretold(free, len(skinned) + way_in))
    work = _Work(skinned, whole, fps, surroundings, layers[0].beneath, _Steps(progress, len(chosen) * len(skinned)))
    garments, above = layers[0], [layer for layer in chosen if layer is not layers[0]]
    if len(above) in (0, len(chosen)):
        for layer in chosen:
            moved[:, layer.own] = work.simulated(layer, tell)
        return moved
    arriving, told = Arriving(len(skinned), len(garments.own)), list[tuple[str, np.ndarray]]()

    def over() -> list[np.ndarray]:
        told.clear()
        beneath = Beneath(garments.own, arriving)
        return [work.simulated(layer, lambda *what: told.append(what), beneath) for layer in above]

    watched = replace(work, surroundings=surroundings.watched(arriving.put, garments.own))
    below = partial(watched.simulated, garments, tell)
    on_cpu = surroundings.device == CPU_NAME  # a card is one for all
    moved[:, garments.own], results = in_step(below, over, arriving, at_once=on_cpu)
    for layer, result in zip(above, results, strict=True):
        moved[:, layer.own] = result
    for what in told:
        tell(*what)
    return moved


@dataclass(frozen=True)
class Beneath:
    """Vertices `own` (N,) that are simulated meanwhile, and their frames as they arrive."""

    own: np.ndarray
    arriving: Arriving

    def into(self, target: np.ndarray, rows: np.ndarray) -> Callable[[int], None]:
        """What writes those of a frame into an array (T,R,3), whose first vertices are `rows` (N,)."""
        index = np.full(max(self.own.max(), rows.max()) + 1, -1)
        index[self.own] = np.arange(len(self.own))
        there = np.flatnonzero(index[rows] >= 0)
        chosen = index[rows[there]]

        def write(frame: int) -> None:
            target[frame, there] = self.arriving.wait(frame)[chosen]

        return write


@dataclass(frozen=True)
class _Work:
    """What is the same for all layers; `skin` (F,) bool: the faces that nothing simulated has."""

    skinned: np.ndarray
    whole: Garment
    fps: float
    surroundings: Surroundings
    skin: np.ndarray
    steps: _Steps

    def simulated(self, layer: Layer, tell: Tell, beneath: Beneath | None = None) -> np.ndarray:
        """The layer's own vertices (T,P,3) float32; what lies beneath is as `skinned` has it, or comes meanwhile."""
        own, skinned, whole = layer.own, self.skinned, self.whole
        both, solid = np.concatenate([own, layer.met]), whole.faces[layer.beneath]
        skin = Obstacle.of_faces(skinned, whole.faces[self.skin]) if layer.strands else None
        around = self.surroundings.part(both).over(Obstacle.of_faces(skinned, solid, whole.rest), skin)
        led, writers = skinned[:, both], []
        if beneath:
            writers.append(beneath.into(led, both))
            if around.obstacle and len(solid):
                writers.append(beneath.into(around.obstacle.vertices, np.unique(solid)))

        def until(frame: int) -> None:
            for write in writers:
                write(frame)

        def follow(reason: str, chosen: np.ndarray) -> None:
            tell(reason, own[chosen[chosen < len(own)]])

        around, steps = replace(around, until=until if writers else None), self.steps.part()
        if layer.strands:
            pins = whole.pins[own]
            moved = simulate_strands(led, whole.rest[own], layer.strands, pins, around, self.fps, steps, follow)
            return moved.astype(np.float32)
        garment = whole.part(both)
        garment.pins[len(own) :] = 1
        worn = layer.worn.beside(len(layer.met))
        moved = simulate_garment(led, garment, around, self.fps, worn, steps, follow)
        return moved[:, : len(own)].astype(np.float32)


def foretold(free: int, frames: int) -> str:
    """A sentence on how long so many free vertices will take over so many frames, way in included; "" for not long."""
    minutes = COST * free * frames / 60
    if minutes < LONG:
        return ""
    return f"Cloth of {free:,} free vertices will take about {minutes:,.0f} minutes on one processor."


class _Steps:
    """Steps of all layers, `total` of them, that take `progress` from its first to its last, whichever comes first."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done, self._lock = progress, total, 0, Lock()

    def part(self) -> Progress | None:
        """The progress of one layer."""
        if self.progress is None:
            return None
        return Progress(self.progress.stage, self.total, self._count, self.progress.should_cancel)

    def _count(self, _: Report) -> None:
        assert self.progress is not None
        with self._lock:
            self.done += 1
            self.progress.advance(self.done * self.progress.total // self.total - self.progress.step)

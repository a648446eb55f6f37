# SPDX-License-Identifier: GPL-3.0-or-later
"""Region labels of a shot: the guess, over it the rows of the scene's parts, over them what is painted.

Painted are vertex groups `ani3d_body`, `ani3d_face`, `ani3d_hair`, `ani3d_garment`; the highest weight wins, and a
vertex in none keeps the region of its part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import bpy
import numpy as np

from ani3d_formats.regions import REGIONS

from ..regions.guess import Guess, Piece, guess_regions, vertex_labels
from ..regions.heads import head_bones
from ..regions.parts import Hold, PartEntry, regions_of
from .skeleton import OBJECT

PREFIX = "ani3d_"


@dataclass(frozen=True)
class Labelling:
    """What the regions of a character are told from.

    Attributes:
        items: its objects, and `pieces`, the mesh of each.
        bones, parents: names (B,) and parents' rows (B,), -1 for a root, of the shot's bones.
        painted: for each object weights (V,) by the names of its vertex groups; only `ani3d_*` are read.
    """

    items: Sequence[bpy.types.Object]
    pieces: Sequence[Piece]
    bones: Sequence[str]
    parents: Sequence[int]
    painted: Sequence[Mapping[str, np.ndarray]]

    @cached_property
    def heads(self) -> np.ndarray:
        """(B,) bool, which bones are the head's."""
        return head_bones(self.bones, self.parents)

    @cached_property
    def guesses(self) -> list[list[Guess]]:
        """For each object those of its parts."""
        carrying = [
            parent if name.startswith(OBJECT) and parent >= 0 else row
            for row, (name, parent) in enumerate(zip(self.bones, self.parents, strict=True))
        ]  # an object that hangs on a bone counts as held by it
        held = [replace(piece, weight_indices=np.array(carrying)[piece.weight_indices]) for piece in self.pieces]
        return guess_regions(held, self.heads)

    def region_ids(self, scene: bpy.types.Scene) -> np.ndarray:
        """(V,) uint8 of all vertices; where the list of parts of `scene` has a row it has the say."""
        labels = [np.empty(0, np.uint8)]
        for item, piece, guesses, groups in zip(self.items, self.pieces, self.guesses, self.painted, strict=True):
            regions = {guess.slot: guess.region for guess in guesses}
            if not (piece.strands and item.type == "MESH"):  # the list's rows are of the mesh that the hair grows on
                regions |= regions_of(scene, item, piece.strands)
            labels.append(painted_over(vertex_labels(piece, regions, self.heads), groups))
        return np.concatenate(labels)

    def entries(self, motions: Sequence[str], held: Sequence[Hold]) -> list[PartEntry]:
        """Rows for `fill_parts`; `motions` says how each object moves, `held` what holds it."""
        return [
            PartEntry(
                item, guess.slot, guess.region, guess.confidence, guess.reason, motion, guess.vertices,
                strands=piece.strands, hold=hold,
            )
            for item, piece, motion, hold, guesses in zip(
                self.items, self.pieces, motions, held, self.guesses, strict=True
            )
            for guess in guesses
        ]  # fmt: skip


def painted_over(labels: np.ndarray, groups: Mapping[str, np.ndarray]) -> np.ndarray:
    """`labels` (V,) where no region is painted, else the one with the highest weight."""
    nothing = np.zeros(len(labels), np.float32)
    weights = np.stack([groups.get(PREFIX + region, nothing) for region in REGIONS])
    return np.where(weights.max(axis=0) > 0, np.argmax(weights, axis=0), labels).astype(np.uint8)

"""Read the benchmark's sequences: list them by split, load shot, coarse clip, true vertices and pictures."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.gaussians import GaussianFrames
from ani3d_formats.pc2 import read_pc2
from ani3d_formats.regions import HAIR, REGIONS
from ani3d_formats.shot import Shot
from ani3d_formats.skinning import skin
from ani3dhuman.avatar import Avatar, avatar_from_shot
from ani3dhuman.avatar.from_mesh import DETAIL
from ani3dhuman.clip import CoarseClip
from ani3dhuman.cloth.character import simulate_character
from ani3dhuman.cloth.fabrics import FABRICS
from ani3dhuman.rendering.draw import draw

from .pools import SPLITS

GAUSSIANS = 20_000


@dataclass(frozen=True)
class LayerMaps:
    """What a layer shows, pixel by pixel.

    Attributes:
        regions: (T,H,W,4) uint8, 255 times the share of a pixel that shows body, face, hair, garment.
        depth: (T,H,W) float16 metres along the view axis, 0 where less than half of the pixel is covered.
    """

    regions: np.ndarray
    depth: np.ndarray

    @property
    def cloth(self) -> np.ndarray:
        """(T,H,W) float32 0..1: hair and garment, all that restoration may change."""
        return self.regions[..., HAIR:].sum(-1, dtype=np.uint16).astype(np.float32) / 255


@dataclass(frozen=True)
class Sequence:
    """A finished sequence in its folder.

    Attributes:
        folder: where it lies; about: what sequence.json says (recipe, figures, files).
        gaussians: of the avatar that pictures are drawn with.
    """

    folder: Path
    about: dict[str, Any]
    gaussians: int = GAUSSIANS

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def split(self) -> str:
        return str(self.about["recipe"]["split"])

    @cached_property
    def shot(self) -> Shot:
        return Shot.load(self.folder / "shot.npz")

    @cached_property
    def truth(self) -> np.ndarray:
        """(T,V,3) float32 true vertices, world metres; body and face are those of the rigid layer."""
        return np.asarray(read_pc2(self.folder / "truth.pc2").vertices)

    @cached_property
    def rigid(self) -> np.ndarray:
        """(T,V,3) float32: what the skeleton alone says."""
        return rigid_vertices(self.shot)

    @cached_property
    def physics(self) -> np.ndarray:
        """(T,V,3) float32: the coarse layer that ships, of the generic fabric since an artist's fabric is not known."""
        shot = self.shot
        return simulate_character(
            self.rigid, shot["faces"], shot["vertices"], shot["region_ids"], shot["pin_weights"],
            shot.meta.fps, FABRICS["generic"],
        )  # fmt: skip

    @property
    def root_poses(self) -> np.ndarray:
        """(T,4,4) float64 poses of the bone that carries the hips, world metres."""
        return self.shot["bone_pose"][:, self._root].astype(np.float64)

    @property
    def height(self) -> float:
        """Of the person in bind pose, metres."""
        return float(np.ptp(self.shot["vertices"][:, 2]))

    @property
    def heading(self) -> float:
        """Where the person faces at the middle of the clip, radians from -Y towards +X."""
        poses = self.root_poses
        turn = poses[len(poses) // 2, :3, :3] @ self.shot["bone_rest"][self._root, :3, :3].astype(np.float64).T
        return float(np.arctan2(turn[1, 0], turn[0, 0]))

    @property
    def _root(self) -> int:
        bones = list(self.shot.meta.bones)
        return bones.index("root") if "root" in bones else 0

    @cached_property
    def avatar(self) -> Avatar:
        return avatar_from_shot(self.shot, self.gaussians, DETAIL)

    def clip(self) -> CoarseClip:
        """The clip as restoration receives it; its coarse layer is the rigid one."""
        return CoarseClip.of_shot(self.shot, self.avatar, self.rigid, self.shot["pin_weights"])

    def truth_pictures(self) -> tuple[np.ndarray, np.ndarray]:
        """Pictures (T,H,W,3) sRGB 0..1 of the truth and their coverage (T,H,W), drawn now."""
        clip = self.clip()
        pictures, alphas = clip.rendered(self.truth)
        return np.asarray(pictures), np.asarray(alphas)

    def coarse_pictures(self) -> tuple[np.ndarray, np.ndarray]:
        """The same of the rigid layer."""
        clip = self.clip()
        pictures, alphas = clip.rendered(self.rigid)
        return np.asarray(pictures), np.asarray(alphas)

    def maps(self, layer: str) -> LayerMaps:
        """Region shares and depth of "truth" or "coarse", as stored."""
        with np.load(self.folder / "maps.npz") as file:
            return LayerMaps(file[f"{layer}_regions"], file[f"{layer}_depth"])


def rigid_vertices(shot: Shot) -> np.ndarray:
    """(T,V,3) float32 skinned vertices of a shot, world metres."""
    return skin(shot["vertices"], shot["weight_indices"], shot["weight_values"], shot.skinning_transforms())


def draw_layer(clip: CoarseClip, posed: GaussianFrames) -> tuple[np.ndarray, LayerMaps]:
    """Pictures (T,H,W,3) uint8 sRGB and maps of posed Gaussians, in one pass."""
    size = (clip.frames, clip.cameras.height, clip.cameras.width)
    pictures = np.empty((*size, 3), np.uint8)
    maps = LayerMaps(np.empty((*size, len(REGIONS)), np.uint8), np.empty(size, np.float16))
    labels = np.eye(len(REGIONS), dtype=np.float32)[clip.avatar.region_ids]
    for t in range(clip.frames):
        features = np.concatenate([posed.colors[t], labels], axis=1)
        channels, alpha = draw(posed, features, clip.cameras, t, with_depth=True)
        rgb = channels[..., :3] + (1 - alpha[..., None]) * clip.background
        pictures[t] = np.clip(rgb, 0, 1) * 255 + 0.5
        maps.regions[t] = np.clip(channels[..., 3:7], 0, 1) * 255 + 0.5
        maps.depth[t] = np.where(alpha > 0.5, channels[..., 7], 0)
    return pictures, maps


def list_sequences(root: Path, split: str | None = None) -> list[Path]:
    """Folders of the finished sequences of a split, or of all splits, in the order of their names.

    Raises:
        Ani3DError: ``cloth_truth.split``: no such split; ``cloth_truth.missing``: no such folder.
    """
    root = Path(root)
    if split is not None and split not in SPLITS:
        raise Ani3DError("cloth_truth.split", f"There is no split '{split}'.", f"Choose one of {', '.join(SPLITS)}.")
    if not root.is_dir():
        raise Ani3DError("cloth_truth.missing", f"There is no folder {root}.", "Run `make cloth-truth` first.")
    names = (split,) if split else SPLITS
    return sorted(p for name in names for p in root.glob(f"{name}_[0-9]*") if (p / "sequence.json").is_file())


def add_choice(parser: argparse.ArgumentParser, split: str, count: int | None = None, skip: int = 0) -> None:
    """Arguments that choose sequences, for `chosen`."""
    parser.add_argument("--root", type=Path, default=Path("out/cloth_truth"))
    parser.add_argument("--split", default=split, choices=SPLITS)
    parser.add_argument("--count", type=int, default=count, help="only the first so many sequences")
    parser.add_argument("--skip", type=int, default=skip, help="and of these not the first so many")
    parser.add_argument("--turn", type=int, default=0, help="sequence to begin with, for several processes")


def chosen(options: argparse.Namespace) -> list[Path]:
    """Folders of the sequences that the arguments of `add_choice` name. Raises as `list_sequences`."""
    folders = list_sequences(options.root, options.split)[options.skip : options.count]
    return folders[options.turn :] + folders[: options.turn]


def load_sequence(folder: Path, gaussians: int = GAUSSIANS) -> Sequence:
    """Open a sequence; arrays and pictures are read or drawn when asked for.

    Raises:
        Ani3DError: ``cloth_truth.missing``: the folder holds no finished sequence.
    """
    about = Path(folder) / "sequence.json"
    if not about.is_file():
        raise Ani3DError("cloth_truth.missing", f"{folder} holds no finished sequence.", "Run `make cloth-truth`.")
    return Sequence(Path(folder), json.loads(about.read_text()), gaussians)

"""What is judged: a version of a clip, and the setting that all its versions share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ani3d_formats.errors import Ani3DError
from ani3d_formats.regions import GARMENT, is_loose

if TYPE_CHECKING:
    from ..clip import CoarseClip


@dataclass(frozen=True)
class ClipVersion:
    """One version of a clip: the truth, or what is to be judged. What is None is not judged.

    Attributes:
        pictures: (T,H,W,3) sRGB 0..1.
        alphas: (T,H,W) coverage of the whole figure 0..1.
        garment: (T,H,W) bool, where cloth is seen; needed beside pictures.
        vertices: (T,V,3) metres, world.
        flow: (T-1,H,W,2) exact backward flow as in `ani3dhuman.metrics.temporal`; None estimates it.
    """

    pictures: np.ndarray | None = None
    alphas: np.ndarray | None = None
    garment: np.ndarray | None = None
    vertices: np.ndarray | None = None
    flow: np.ndarray | None = None


@dataclass(frozen=True)
class ClipSetting:
    """What all versions of a clip share. World space, metres.

    Attributes:
        faces: (F,3) triangles of body and clothes.
        bind_vertices: (V,3) bind pose, which gives lengths and angles at rest.
        vertex_regions: (V,) indices into `ani3d_formats.regions.REGIONS`.
        freedom: (V,) 0 pinned .. 1 free; vertices above 0.5 count as free.
        rigid_vertices: (T,V,3) what the skeleton alone says; its body is the one that cloth must stay out of.
        fps: frames a second.
        rigid_pictures: (T,H,W,3) pictures of the rigid layer, from which the preserved region must not stray.
        preserve: (T,H,W) bool, pixels that a version must not change.
        face: (T,H,W) bool, where the truth shows the face.
        visible: (T,V) bool, vertices that the camera sees in the truth.
    """

    faces: np.ndarray
    bind_vertices: np.ndarray
    vertex_regions: np.ndarray
    freedom: np.ndarray
    rigid_vertices: np.ndarray
    fps: float
    rigid_pictures: np.ndarray | None = None
    preserve: np.ndarray | None = None
    face: np.ndarray | None = None
    visible: np.ndarray | None = None

    @classmethod
    def of(cls, clip: CoarseClip, **pictures: Any) -> ClipSetting:
        """The setting of a coarse clip; what concerns pictures is given by name."""
        faces = clip.avatar.binding.faces.numpy()
        shared = (clip.bind_vertices, clip.vertex_regions, clip.freedom, clip.rigid_vertices, clip.fps)
        return cls(faces, *shared, **pictures)

    @property
    def free(self) -> np.ndarray:
        """(V,) bool, vertices that move freely."""
        return self.freedom > 0.5

    @property
    def loose_garment(self) -> np.ndarray:
        """(V,) bool, garment vertices that are not pinned."""
        return (self.vertex_regions == GARMENT) & (self.freedom > 0)

    @property
    def body_faces(self) -> np.ndarray:
        """(B,3) triangles of body and face."""
        return self.faces[~is_loose(self.vertex_regions)[self.faces].any(1)]


def check_shapes(setting: ClipSetting, **versions: ClipVersion) -> None:
    """Refuse arrays that do not fit together.

    Raises:
        Ani3DError: ``metrics.shapes``, ``metrics.garment``.
    """
    frames, vertices = setting.rigid_vertices.shape[:2]
    shapes: list[tuple[str, np.ndarray | None, tuple[int, ...]]] = [
        ("bind_vertices", setting.bind_vertices, (vertices, 3)),
        ("vertex_regions", setting.vertex_regions, (vertices,)),
        ("freedom", setting.freedom, (vertices,)),
        ("visible", setting.visible, (frames, vertices)),
    ]
    size = next((v.pictures.shape[1:3] for v in versions.values() if v.pictures is not None), None)
    for name, version in versions.items():
        shapes.append((f"{name}.vertices", version.vertices, (frames, vertices, 3)))
        if size:
            shapes += [
                (f"{name}.pictures", version.pictures, (frames, *size, 3)),
                (f"{name}.alphas", version.alphas, (frames, *size)),
                (f"{name}.garment", version.garment, (frames, *size)),
                (f"{name}.flow", version.flow, (frames - 1, *size, 2)),
            ]
    if size:
        shapes += [
            ("rigid_pictures", setting.rigid_pictures, (frames, *size, 3)),
            ("preserve", setting.preserve, (frames, *size)),
            ("face", setting.face, (frames, *size)),
        ]
    for name, array, wanted in shapes:
        if array is not None and array.shape != wanted:
            raise Ani3DError(
                "metrics.shapes",
                f"{name} is {array.shape}, where the rest of the clip asks for {wanted}.",
                "Give all versions with the same frames, picture size and vertices.",
            )
    for name, version in versions.items():
        if version.pictures is not None and version.garment is None:
            raise Ani3DError(
                "metrics.garment",
                f"{name} has pictures but no garment mask.",
                "Draw the garment's Gaussians alone and give where they cover, as a mask (T,H,W).",
            )

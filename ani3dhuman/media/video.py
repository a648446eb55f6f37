"""Pictures and videos on disk: PNG, and MP4 (VP9) frame by frame, each published whole.

VP9 in MP4 is what OpenCV's wheels can encode and what browsers, VLC and Blender play.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from ani3d_formats.atomic import WrittenWhole, atomic_path, write_bytes
from ani3d_formats.errors import Ani3DError

VP9 = int.from_bytes(b"vp09", "little")


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write an RGB or RGBA picture (H,W,3|4) uint8, sRGB. Raises `Ani3DError` ``disk.full``."""
    code = cv2.COLOR_RGBA2BGRA if picture.shape[-1] == 4 else cv2.COLOR_RGB2BGR
    _, data = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(picture), code))
    write_bytes(Path(path), data.tobytes())


class VideoWriter(WrittenWhole):
    """Write RGB frames (H,W,3) uint8 sRGB to an MP4; it appears at `path` when the block ends well.

    Odd sizes are padded by repeating the last row or column, because the encoder halves the colour planes.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self.path, self.width, self.height, self.fps = Path(path), width, height, fps
        self.written = 0

    def write(self, frame: np.ndarray) -> None:
        """Append one frame (H,W,3) uint8. Raises `Ani3DError` ``video.shape``."""
        if frame.shape != (self.height, self.width, 3) or frame.dtype != np.uint8:
            raise Ani3DError(
                "video.shape",
                f"Frame {self.written} of {self.path.name} is {frame.shape} {frame.dtype}, "
                f"expected ({self.height}, {self.width}, 3) uint8.",
                "Give every frame in the size the writer was opened with.",
            )
        padding = ((0, self.height % 2), (0, self.width % 2), (0, 0))
        self._encoder.write(cv2.cvtColor(np.pad(frame, padding, mode="edge"), cv2.COLOR_RGB2BGR))
        self.written += 1

    @contextmanager
    def _write_whole(self) -> Iterator[None]:
        size = (self.width + self.width % 2, self.height + self.height % 2)
        with atomic_path(self.path) as partial:
            self._encoder = cv2.VideoWriter(str(partial), VP9, self.fps, size)
            try:
                if not self._encoder.isOpened():
                    raise Ani3DError(
                        "video.encoder",
                        f"OpenCV cannot open a VP9 encoder for {self.path} ({size[0]}x{size[1]}).",
                        "Check that the folder can be written and that OpenCV comes from its PyPI wheel.",
                    )
                yield
            finally:
                self._encoder.release()
            # the encoder reports no failed write, so a full disk shows only in what can be read back
            if self.written == 0 or _frame_count(partial) != self.written:
                raise Ani3DError(
                    "video.incomplete",
                    f"{self.path.name} does not hold the {self.written} frames that were written.",
                    "Write at least one frame and check that the disk is not full, then run again.",
                )


def _frame_count(path: Path) -> int:
    capture = cv2.VideoCapture(str(path))
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    finally:
        capture.release()


def read_video(path: Path) -> np.ndarray:
    """All frames (T,H,W,3) uint8 sRGB. Raises `Ani3DError` ``video.missing`` when there is nothing to read."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    try:
        while True:
            read, frame = capture.read()
            if not read:
                break
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    finally:
        capture.release()
    if not frames:
        raise Ani3DError("video.missing", f"No frames could be read from {path}.", "Check the path and the file.")
    return np.stack(frames)

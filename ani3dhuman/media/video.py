"""Pictures and videos on disk: PNG, and MP4 (AV1) frame by frame, each published whole.

AV1 by SVT-AV1 is the encoder of PyAV's wheels that is fast, free to pass on and played by browsers, VLC and Blender.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation

from ani3d_formats.atomic import WrittenWhole, atomic_path, full_disk_reported, write_bytes
from ani3d_formats.errors import Ani3DError

os.environ.setdefault("SVT_LOG", "1")  # else the encoder tells its settings on stderr
# constant quality, a key frame each second at 24 fps. One thread per video, since a job writes several, and few frames
# held back: by the encoder's own choice a video of 480x832 takes 177 MB in place of 76, and is no better
AV1 = {"preset": "8", "crf": "14", "g": "24", "svtav1-params": "lp=1:lookahead=0:hierarchical-levels=3"}
LONG, NARROWEST = 64, 32  # pixels: of pictures with a longer side the other one is at least so long
FASTSTART = {"movflags": "+faststart"}  # the index in front, so that a player can begin before it has the whole file
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write an RGB or RGBA picture (H,W,3|4) uint8, sRGB. Raises `Ani3DError` ``disk.full``."""
    code = cv2.COLOR_RGBA2BGRA if picture.shape[-1] == 4 else cv2.COLOR_RGB2BGR
    _, data = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(picture), code))
    write_bytes(Path(path), data.tobytes())


class VideoWriter(WrittenWhole):
    """Write RGB frames (H,W,3) uint8 sRGB to an MP4; it appears at `path` when the block ends well.

    Odd sizes are padded by repeating the last row or column, because the encoder halves the colour planes; so are long
    pictures that are very narrow, because it never ends with them.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self.path, self.width, self.height, self.fps = Path(path), width, height, fps
        least = NARROWEST if max(width, height) > LONG else 0
        self._coded = max(height + height % 2, least), max(width + width % 2, least)
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
        padding = ((0, self._coded[0] - self.height), (0, self._coded[1] - self.width), (0, 0))
        picture = av.VideoFrame.from_ndarray(np.pad(frame, padding, mode="edge"), format="rgb24")
        yuv = picture.reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=EXACT,
        )
        self._container.mux(self._stream.encode(yuv))
        self.written += 1

    @contextmanager
    def _write_whole(self) -> Iterator[None]:
        with atomic_path(self.path) as partial:
            try:
                with full_disk_reported(self.path), av.open(str(partial), "w", options=FASTSTART) as self._container:
                    self._stream = self._container.add_stream(
                        "libsvtav1", rate=Fraction(self.fps).limit_denominator(1001), options=AV1
                    )
                    self._stream.height, self._stream.width = self._coded
                    self._stream.pix_fmt = "yuv420p"
                    coder = self._stream.codec_context
                    coder.colorspace, coder.color_range = Colorspace.ITU709, ColorRange.MPEG
                    coder.color_primaries, coder.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
                    yield
                    self._container.mux(self._stream.encode(None))
            except av.FFmpegError as error:
                raise Ani3DError(
                    "video.encoder",
                    f"{self.path.name} ({self.width}x{self.height}) cannot be encoded: {error.strerror}.",
                    "Check that the folder can be written; a video is at least 4 pixels wide and high.",
                ) from error
            if self.written == 0 or _frame_count(partial) != self.written:
                raise Ani3DError(
                    "video.incomplete",
                    f"{self.path.name} does not hold the {self.written} frames that were written.",
                    "Write at least one frame and check that the disk is not full, then run again.",
                )


def _decode(path: Path) -> Iterator[av.VideoFrame]:
    """The frames that can be read, up to the first that is damaged; none where there is no video."""
    try:
        with av.open(str(path)) as container:
            yield from container.decode(video=0)
    except (av.FFmpegError, IndexError):
        return


def _frame_count(path: Path) -> int:
    return sum(1 for _ in _decode(path))


def read_video(path: Path) -> np.ndarray:
    """All frames (T,H,W,3) uint8 sRGB. Raises `Ani3DError` ``video.missing`` when there is nothing to read."""
    frames = [frame.reformat(format="rgb24", interpolation=EXACT).to_ndarray() for frame in _decode(path)]
    if not frames:
        raise Ani3DError("video.missing", f"No frames could be read from {path}.", "Check the path and the file.")
    return np.stack(frames)

"""The frame cache: Gaussians of every frame as memory-mapped arrays, published in one rename.

    NAME.ani3d/manifest.json  position.npy (T,N,3)  rotation.npy (T,N,4)  scale.npy  radiance_base.npy  OBJECT.pc2

Attribute names are Blender 5.3's native splat names. Values are float32, or half precision where the writer was told
so; they are read as float32 either way. `CacheWriter` writes frame by frame into a hidden
sibling folder; a crash, a cancelled job or a full disk leaves an older cache at the same path as it was.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .atomic import WrittenWhole, full_disk_reported, publish
from .errors import Ani3DError
from .gaussians import SH_C0, GaussianFrames
from .manifest import AGAIN, DTYPE, HALF, MANIFEST, Attribute, Manifest, MeshFile, malformed_error, parse
from .names import is_file_name, safe_name
from .pc2 import PC2Writer, PointCache, read_pc2
from .progress import Progress

MOST_HALF = float(np.finfo(np.float16).max)


def _wrong_values(what: str) -> Ani3DError:
    return Ani3DError("cache.values", what, "Give every frame once, with the same attributes, finite and float32.")


def _wrong_name(what: str) -> Ani3DError:
    return Ani3DError("cache.name", what, "Use letters, digits and underscores.")


class _ArrayFile:
    """One .npy under construction: the header for its final shape first, then frame after frame."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...], static: bool, dtype: str) -> None:
        self.path, self.name, self.shape, self.static, self.dtype = path, name, shape, static, dtype
        self.file: BinaryIO = open(path, "wb")  # noqa: SIM115 - closed by the writer's exit stack
        np.lib.format.write_array_header_1_0(self.file, {"descr": dtype, "fortran_order": False, "shape": shape})

    def append(self, values: np.ndarray) -> None:
        if self.dtype == HALF:
            values = np.clip(values, -MOST_HALF, MOST_HALF)
        self.file.write(np.ascontiguousarray(values, self.dtype).data)

    def finish(self) -> Attribute:
        self.file.close()
        size, digest = self.path.stat().st_size, file_sha256(self.path)
        return Attribute(self.name, self.path.name, self.dtype, self.shape, self.static, size, digest)


class CacheWriter(WrittenWhole):
    """Write a cache frame by frame; it appears at `path` only when every frame of the range was written.

    Args:
        path: the cache folder, usually ``NAME.ani3d``; an older cache there is replaced at the end.
        count: number of Gaussians, the same in every frame.
        frame_start, frame_end: scene frames, both included.
        fps: frames per second.
        provenance: what made it (settings, versions, hashes); must be JSON.
        origin: where places in the cache are counted from, world metres.
        half: names of attributes that are kept in half precision, within 2^-11 of their size.

    Raises:
        Ani3DError: ``cache.name`` for a path or an attribute whose name cannot be that of a file. Names of objects are
            the artist's: their files' names are made by `names.safe_name`.
    """

    def __init__(
        self,
        path: Path,
        *,
        count: int,
        frame_start: int,
        frame_end: int,
        fps: float,
        provenance: Mapping[str, Any] | None = None,
        origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
        half: frozenset[str] = frozenset(),
    ) -> None:
        self.path, self._half = Path(path), half
        if not is_file_name(self.path.name):
            raise _wrong_name(f"{self.path.name!r} cannot be the name of a cache folder.")
        self._head = Manifest(fps, frame_start, frame_end, count, (), (), dict(provenance or {}), origin)
        self._partial = self.path.with_name(f".{self.path.name}.partial")
        self._arrays: dict[str, _ArrayFile] = {}
        self._meshes: dict[str, PC2Writer] = {}
        self._written = 0

    def static(self, name: str, values: np.ndarray) -> None:
        """Store an attribute (N,k) that is the same in every frame; before or between frames."""
        self._check(name, values)
        self._open(name, values.shape, static=True).append(values)

    def frame(self, attributes: Mapping[str, np.ndarray], meshes: Mapping[str, np.ndarray] | None = None) -> None:
        """Append the next frame: `attributes` name -> (N,k), `meshes` object name -> vertices (V,3), world metres.

        Raises `Ani3DError` ``cache.values`` for a wrong shape, a missing or new name, or a NaN.
        """
        meshes = meshes or {}
        if self._written == self._head.frames:
            raise _wrong_values(f"{self.path.name} is complete; frame {self._head.frame_end} was its last.")
        if self._written == 0:
            for name, values in attributes.items():
                self._check(name, values)
                self._open(name, (self._head.frames, *values.shape), static=False)
            for name, vertices in meshes.items():
                self._open_mesh(name, len(vertices))
        moving = {name for name, array in self._arrays.items() if not array.static}
        if moving != set(attributes) or set(self._meshes) != set(meshes):
            raise _wrong_values(f"Frame {self._now} of {self.path.name} has other attributes than the first.")
        for name, values in attributes.items():
            self._check(name, values, self._arrays[name].shape[1:])
            self._arrays[name].append(values)
        for name, vertices in meshes.items():
            self._meshes[name].write(vertices)
        self._written += 1

    @property
    def _now(self) -> int:
        return self._head.frame_start + self._written

    def _check(self, name: str, values: np.ndarray, shape: tuple[int, ...] | None = None) -> None:
        expected = shape or (self._head.count, values.shape[-1])
        if values.ndim != 2 or values.shape != expected:
            raise _wrong_values(
                f"Attribute {name!r} at frame {self._now} has shape {values.shape}, expected {expected}."
            )
        if not np.isfinite(values).all():
            raise _wrong_values(f"Attribute {name!r} at frame {self._now} holds NaN or infinity.")

    def _open(self, name: str, shape: tuple[int, ...], *, static: bool) -> _ArrayFile:
        if name in self._arrays:
            raise _wrong_values(f"Attribute {name!r} was given twice.")
        if not is_file_name(name.replace(":", "_")):
            raise _wrong_name(f"{name!r} cannot be the name of an attribute.")
        array = _ArrayFile(
            self._partial / f"{safe_name(name)}.npy", name, shape, static, HALF if name in self._half else DTYPE
        )
        self._stack.callback(_close_quietly, array.file)
        self._arrays[name] = array
        return array

    def _open_mesh(self, name: str, vertices: int) -> None:
        stem = safe_name(name, (writer.path.stem for writer in self._meshes.values()))
        writer = PC2Writer(self._partial / f"{stem}.pc2", vertices, self._head.frame_start, self._head.frames)
        self._meshes[name] = self._stack.enter_context(writer)

    @contextmanager
    def _write_whole(self) -> Iterator[None]:
        shutil.rmtree(self._partial, ignore_errors=True)  # what a killed writer left
        try:
            with full_disk_reported(self.path):
                self._partial.mkdir(parents=True)
                with ExitStack() as self._stack:
                    yield
                    if self._written != self._head.frames:
                        raise _wrong_values(f"{self.path.name} got {self._written} of {self._head.frames} frames.")
                    attributes = tuple(array.finish() for array in self._arrays.values())
                meshes = tuple(_mesh_entry(name, writer.path) for name, writer in self._meshes.items())
                manifest = replace(self._head, attributes=attributes, meshes=meshes)
                with open(self._partial / MANIFEST, "w", encoding="utf-8") as file:
                    file.write(manifest.to_json())
                publish(self._partial, self.path)
        except BaseException:
            shutil.rmtree(self._partial, ignore_errors=True)
            raise


def as_float32(array: np.ndarray) -> np.ndarray:
    """Values as they are worked with: the memory map itself, or a copy of what is kept in half precision."""
    return array if array.dtype == np.float32 else array.astype(np.float32)


def _close_quietly(file: BinaryIO) -> None:
    # closing flushes, and on a full disk that fails a second time after the error already on its way
    with suppress(OSError):
        file.close()


def _mesh_entry(name: str, path: Path) -> MeshFile:
    return MeshFile(name, path.name, path.stat().st_size, file_sha256(path))


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a whole file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def radiance(colors: np.ndarray, opacities: np.ndarray) -> np.ndarray:
    """(N,4) float32 of a cache, from colours (N,3) sRGB and opacities (N,): raw SH DC as in 3DGS, and opacity."""
    solid = np.asarray(opacities, np.float32)[:, None]
    return np.concatenate([(colors - 0.5) / SH_C0, solid], axis=1, dtype=np.float32)


def write_cache(
    path: Path,
    gaussians: GaussianFrames,
    *,
    fps: float,
    frame_start: int,
    meshes: Mapping[str, np.ndarray] | None = None,
    provenance: Mapping[str, Any] | None = None,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    progress: Progress | None = None,
) -> Path:
    """Write posed Gaussians and deformed `meshes` (object name -> (T,V,3), world metres) as a cache at `path`.

    Scale and radiance are stored once when no frame changes them. `progress` advances once a frame.
    Colours become raw SH DC as in 3DGS: f_dc = (rgb - 0.5) / 0.28209479177387814.
    """
    meshes = meshes or {}

    readers: dict[str, Callable[[int], np.ndarray]] = {
        "position": lambda t: gaussians.means[t],
        "rotation": lambda t: gaussians.quats[t],
        "scale": lambda t: gaussians.scales[t],
        "radiance:base": lambda t: radiance(gaussians.colors[t], gaussians.opacities_at(t)),
    }
    same_opacities = gaussians.opacities.ndim == 1 or _still(gaussians.opacities)
    static = {"scale"} if _still(gaussians.scales) else set()
    if same_opacities and _still(gaussians.colors):
        static.add("radiance:base")
    frame_end = frame_start + gaussians.frames - 1
    with CacheWriter(
        path,
        count=gaussians.count,
        frame_start=frame_start,
        frame_end=frame_end,
        fps=fps,
        provenance=provenance,
        origin=origin,
    ) as writer:
        for name in sorted(static):
            writer.static(name, readers[name](0))
        for t in range(gaussians.frames):
            moving = {name: read(t) for name, read in readers.items() if name not in static}
            writer.frame(moving, {name: vertices[t] for name, vertices in meshes.items()})
            if progress:
                progress.advance()
    return Path(path)


def _still(values: np.ndarray) -> bool:
    """Whether `values` (T,...) are the same in every frame."""
    return all(np.array_equal(values[0], other) for other in values[1:])


@dataclass(frozen=True)
class FrameCache:
    """A cache opened for reading: `arrays` maps names to read-only memory maps (T,N,k) or (N,k), float32 or float16."""

    path: Path
    manifest: Manifest
    arrays: Mapping[str, np.ndarray]

    @classmethod
    def open(cls, path: Path) -> FrameCache:
        """Open a cache folder and check everything but the hashes.

        Raises `Ani3DError`: ``cache.missing`` (no cache there), ``cache.version``, ``cache.file_missing``,
        ``cache.cut`` (a file of the wrong length), ``cache.malformed``.
        """
        path = Path(path)
        try:
            text = (path / MANIFEST).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Ani3DError(
                "cache.missing", f"There is no frame cache at '{path}' (no {MANIFEST}).", "Check the path."
            ) from error
        except UnicodeDecodeError as error:
            raise malformed_error(path, f"{MANIFEST} is not text") from error
        except OSError as error:
            raise malformed_error(path, f"{MANIFEST} cannot be read ({error.strerror})") from error
        manifest = parse(text, path)
        for entry in manifest.entries:
            _check_length(path / entry.file, entry.bytes)
        arrays = {entry.name: _map_array(path, entry) for entry in manifest.attributes}
        return cls(path, manifest, arrays)

    def frame(self, scene_frame: int) -> dict[str, np.ndarray]:
        """All attributes (N,k) float32 at a scene frame. Raises `Ani3DError` ``cache.frame`` outside the range."""
        t = self._index(scene_frame)
        return {name: as_float32(array if array.ndim == 2 else array[t]) for name, array in self.arrays.items()}

    def nearest_frame(self, scene_frame: int) -> int:
        """`scene_frame`, or the first or last frame of the range where it lies outside."""
        return min(max(scene_frame, self.manifest.frame_start), self.manifest.frame_end)

    def check_gaussians(self) -> None:
        """Raise `Ani3DError` ``cache.attributes`` when the cache holds no drawable Gaussians."""
        for name, width in (("position", 3), ("rotation", 4), ("scale", 3), ("radiance:base", 4)):
            if name not in self.arrays or self.arrays[name].shape[-1] != width:
                raise Ani3DError(
                    "cache.attributes",
                    f"{self.path.name} has no attribute {name!r} of {width} numbers a Gaussian.",
                    "Give a cache that holds Gaussians.",
                )

    def _index(self, scene_frame: int) -> int:
        start, end = self.manifest.frame_start, self.manifest.frame_end
        if not start <= scene_frame <= end:
            raise Ani3DError(
                "cache.frame",
                f"Frame {scene_frame} is outside {self.path.name} ({start}..{end}).",
                "Choose a frame of the range.",
            )
        return scene_frame - start

    def gaussians(self, first: int, last: int) -> GaussianFrames:
        """The Gaussians of the scene frames `first`..`last`, both included; what is kept as float32 stays a memory map.

        Raises `Ani3DError`: ``cache.frame`` outside the range, ``cache.attributes`` when the cache holds no drawable
        Gaussians.
        """
        self.check_gaussians()
        start, stop = self._index(first), self._index(last) + 1

        def during(name: str) -> np.ndarray:
            array = self.arrays[name]
            if array.ndim == 3:
                return as_float32(array[start:stop])
            return np.broadcast_to(as_float32(array), (stop - start, *array.shape))

        radiance = during("radiance:base")
        opacities = radiance[..., 3]
        if _still(opacities):
            opacities = opacities[0]
        colors = np.clip(radiance[..., :3] * SH_C0 + 0.5, 0, 1)
        return GaussianFrames(during("position"), during("rotation"), during("scale"), opacities, colors)

    def meshes(self) -> dict[str, PointCache]:
        """The deformed meshes by object name."""
        return {entry.object: read_pc2(self.path / entry.file) for entry in self.manifest.meshes}

    def verify(self) -> None:
        """Read every file and compare its hash. Raises `Ani3DError` ``cache.corrupt`` at the first that differs."""
        for entry in self.manifest.entries:
            if file_sha256(self.path / entry.file) != entry.sha256:
                raise Ani3DError(
                    "cache.corrupt",
                    f"{self.path / entry.file} has changed since it was written (its hash differs).",
                    AGAIN,
                )


def _check_length(path: Path, expected: int) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise Ani3DError(
            "cache.file_missing",
            f"The cache file '{path}' is missing.",
            AGAIN,
        ) from error
    if size != expected:
        what = "cut" if size < expected else "too long"
        raise Ani3DError(
            "cache.cut",
            f"The cache file '{path}' is {what}: {size:,} bytes instead of {expected:,}.",
            AGAIN,
        )


def _map_array(folder: Path, entry: Attribute) -> np.ndarray:
    try:
        array = np.load(folder / entry.file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy has many ways to fail on a header whose bytes changed
        raise malformed_error(folder, f"{entry.file} is not a NumPy array ({error})") from error
    if array.shape != entry.shape or array.dtype != np.dtype(entry.dtype) or np.isfortran(array):
        raise malformed_error(
            folder,
            f"{entry.file} is {array.dtype} {array.shape}, the manifest says {entry.dtype} {entry.shape}",
        )
    return array

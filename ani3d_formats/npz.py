"""Files of named arrays (`.npz`), read only when what they say of their sizes can be true."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

MAX_BYTES = 16 << 30  # of all arrays of a file
_HEADER = 1 << 16  # bytes that NumPy's own header may have
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_npz(path: Path, limit: int = MAX_BYTES, skip_objects: bool = False) -> dict[str, np.ndarray]:
    """All arrays of the file by name; never pickled ones.

    The sizes that archive and arrays announce are compared, with each other and with `limit`, before memory is taken:
    a file of a few megabytes can announce any number of bytes. Arrays of objects need a pickle, which is never read:
    they are refused, or left out where `skip_objects`.

    Raises:
        ValueError: it is no such file, or more than `limit` bytes.
        OSError: it cannot be read.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no zip archive, or its end is missing")
    try:
        with zipfile.ZipFile(path) as archive:
            objects = _check_sizes(archive, limit, skip_objects)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if name not in objects}
    except OSError:
        raise
    except Exception as error:  # zip, zlib and NumPy have many ways to fail on bytes that changed
        raise ValueError(str(error) or type(error).__name__) from error


def _check_sizes(archive: zipfile.ZipFile, limit: int, skip_objects: bool) -> set[str]:
    """The names of arrays of objects, where these are to be skipped."""
    total, objects = 0, set()
    for entry in archive.infolist():
        if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
            raise ValueError(f"'{entry.filename}' is encrypted, or packed in an unknown way")
        total += entry.file_size
        if total > limit:
            raise ValueError(f"its arrays have more than {limit:,} bytes")
        with archive.open(entry) as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _order, dtype = read(file, max_header_size=_HEADER)
            size = dtype.itemsize
            for length in shape:
                size *= length
            if dtype.hasobject and skip_objects:
                objects.add(entry.filename.removesuffix(".npy"))
            elif dtype.hasobject or not file.tell() <= entry.file_size == file.tell() + size:
                raise ValueError(f"'{entry.filename}' announces {size:,} bytes and has {entry.file_size:,}")
    return objects

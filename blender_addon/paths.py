# SPDX-License-Identifier: GPL-3.0-or-later
"""Where files go, and how a .blend keeps their paths: relative below its folder, so that both may move."""

from __future__ import annotations

from pathlib import Path

import bpy

from ani3d_formats.errors import Ani3DError

from .sentence import said


def output_folder(context: bpy.types.Context) -> Path:
    """Where shots and results go unless a path is given: beside the .blend, else in Blender's temporary folder."""
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / f"{Path(bpy.data.filepath).stem}_ani3d"
    return Path(bpy.app.tempdir) / "ani3d"


def absolute(path: str) -> Path:
    """A path a user typed, '//' meaning the folder of the .blend.

    Raises:
        Ani3DError: ``file.unsaved`` where there is no such folder yet, ``file.name`` where there can be no such path.
    """
    if path.startswith("//") and not bpy.data.filepath:
        raise Ani3DError(
            "file.unsaved",
            said("'{path}' would lie beside the .blend, which has never been saved.", path=path),
            "Save the file first, or give a whole path.",
        )
    whole = Path(bpy.path.abspath(path))
    try:
        whole.exists()
        return whole.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError of links in a circle
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise Ani3DError(
            "file.name", said("'{path:.60}' cannot be a path: {why}.", path=path, why=why), "Choose another name."
        ) from error


def no_folder(path: Path, example: str) -> Path:
    """`path`, where a file can be written. Raises `Ani3DError` ``shot.is_folder``."""
    if path.is_dir():
        raise Ani3DError(
            "shot.is_folder",
            said("'{path}' is a folder.", path=path),
            said("Give the name of a file in it, such as {example}.", example=example),
        )
    return path


def in_blend(file: Path) -> str:
    """`file` as the .blend should keep it: '//' and the way from its folder, where it lies below that."""
    folder = Path(bpy.data.filepath).resolve().parent
    if bpy.data.filepath and file.resolve().is_relative_to(folder):
        return "//" + file.resolve().relative_to(folder).as_posix()
    return str(file)

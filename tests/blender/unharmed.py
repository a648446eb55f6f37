"""What misuse may not do: change the file, end in anything but one clear sentence, print a traceback."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from fingerprint import fingerprint


def refused(operator: Any, **arguments: Any) -> str:
    """Call `operator`, which must end with one sentence for the user and leave the file as it is; the sentence."""
    before = repr(fingerprint())
    with pytest.raises(RuntimeError) as caught:
        operator(**arguments)
    text = str(caught.value)
    assert text.count("Error:") == 1, text
    assert "Traceback" not in text, text
    sentence = text.partition("Error:")[2].strip()
    assert not re.search(r"[A-Z]\w+(Error|Exception):", sentence) and "Details are in" not in sentence, sentence
    assert "None" not in sentence, sentence
    assert sentence.endswith((".", "]", "}")), sentence
    assert repr(fingerprint()) == before
    return sentence


@contextmanager
def unchanged() -> Iterator[None]:
    """What happens inside leaves the file as it is."""
    before = fingerprint()
    yield
    after = fingerprint()
    assert after == before, {key: (before.get(key), after.get(key)) for key in before if before[key] != after.get(key)}


def saved_and_reopened(folder: Path) -> None:
    """The file can be saved, opened again, and has the same objects then."""
    if bpy.context.mode != "OBJECT" and bpy.context.view_layer.objects.active is not None:
        bpy.ops.object.mode_set(mode="OBJECT")
    kept = sorted(item.name for item in bpy.data.objects if item.users and not item.library)
    file = folder / "reopened.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file), copy=True)
    bpy.ops.wm.open_mainfile(filepath=str(file))
    assert sorted(item.name for item in bpy.data.objects if not item.library) == kept
    os.remove(file)


def exported(folder: Path) -> dict[str, np.ndarray]:
    """The shot that Export Shot writes, which leaves the scene as it is but for the path."""
    before = fingerprint()
    bpy.ops.ani3d.export_shot(filepath=str(folder / "shot.npz"))
    after = fingerprint()
    assert {k: v for k, v in after.items() if k != "bound"} == {k: v for k, v in before.items() if k != "bound"}
    with np.load(folder / "shot.npz") as file:
        return {name: file[name] for name in file.files}

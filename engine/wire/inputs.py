"""Files that settings name: what they hold travels with the shot, since the engine opens no path that a client names.

The setting `reference`, `keypoint_map` or `avatar_file` then has the value "input:" and the file's ending, and the
bytes are the array `input_reference`, `input_keypoint_map` or `input_avatar_file`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ani3d_formats.errors import Ani3DError

FILES = ("reference", "keypoint_map", "avatar_file")  # settings whose value may be a file of the client's
PREFIX = "input_"  # of the arrays
SENT = "input:"  # begins the setting's value
MAX_INPUT_BYTES = 64 << 20


def attach_inputs(
    shot: Mapping[str, np.ndarray], settings: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and settings with the contents of the client's files in the place of their paths.

    Raises:
        Ani3DError: `settings.file` for one that cannot be read, or is larger than `MAX_INPUT_BYTES`.
    """
    arrays, changed = dict(shot), dict(settings)
    for name in FILES:
        value = settings.get(name)
        if not isinstance(value, str) or not value or not Path(value).is_file():
            continue  # a word, or a file of the engine's owner
        try:
            if Path(value).stat().st_size > MAX_INPUT_BYTES:
                raise _unusable(name, value, f"it has more than {MAX_INPUT_BYTES:,} bytes")
            arrays[PREFIX + name] = np.fromfile(value, np.uint8)
        except OSError as error:
            raise _unusable(name, value, str(error.strerror)) from error
        changed[name] = SENT + Path(value).suffix.lower()
    return arrays, changed


def _unusable(name: str, value: str, why: str) -> Ani3DError:
    return Ani3DError("settings.file", f"The file of {name}, {value}, cannot be sent: {why}.", "Choose another file.")

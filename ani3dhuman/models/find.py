"""From a model's name to its entry: of the registry, or made from the folder of that path."""

from __future__ import annotations

from pathlib import Path

from ani3d_formats.errors import Ani3DError

from . import registry
from .folder import model_in
from .paths import is_folder
from .registry import Model


def find(name: str) -> Model:
    """The entry called `name`, or the model in the folder of that path.

    Raises:
        Ani3DError: ``models.unknown``, ``models.folder``.
    """
    known = registry.known_models()
    if name in known:
        return known[name]
    if is_folder(name):
        return model_in(Path(name))
    raise Ani3DError("models.unknown", f"There is no model called {name!r}.", f"Known are: {', '.join(known)}.")

"""Large priors: where to get them, whether they are whole, what they need of a machine and how long they take."""

from .find import find
from .registry import Model, known_models
from .store import local_path, verify

__all__ = ["Model", "find", "known_models", "local_path", "verify"]

"""The one error type that users meet: what was wrong, where, and what to do.

Functions that make one are named for what went wrong, `..._error`; the caller raises it.
"""

from __future__ import annotations


class Ani3DError(Exception):
    """A problem the user can act on.

    Args:
        code: stable machine-readable name, e.g. ``"shot.unweighted_vertices"``.
        message: what was wrong and where, one sentence.
        hint: what to do about it, one sentence.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.code = code
        self.message = message
        self.hint = hint


class Cancelled(Ani3DError):
    """Raised inside a stage when the caller asked to stop; finished stages stay on disk."""

    def __init__(self, where: str, hint: str = "Run again to go on from the last finished stage.") -> None:
        super().__init__("cancelled", f"Cancelled during {where}.", hint)

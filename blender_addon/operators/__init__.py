# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators, one idea a file."""

from .bind import BindCharacter
from .engine import StartEngine, StopEngine
from .export import ExportShot
from .job import CancelJob, Follow, Submit
from .regions import DismissWarnings, PaintPins, PaintRegion, ShowOverlay, UseGuess
from .result import FetchResult, ImportResult, RemoveResult
from .takes import RecordTakes
from .views import CaptureViews

CLASSES = (
    BindCharacter,
    PaintRegion,
    PaintPins,
    UseGuess,
    ShowOverlay,
    DismissWarnings,
    ExportShot,
    CaptureViews,
    StartEngine,
    StopEngine,
    Submit,
    Follow,
    CancelJob,
    FetchResult,
    ImportResult,
    RemoveResult,
    RecordTakes,
)

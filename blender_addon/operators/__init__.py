# SPDX-License-Identifier: GPL-3.0-or-later
"""The operators, one idea a file."""

from .animate import Animate
from .bind import BindCharacter
from .early import ShowFirstFrames
from .engine import StartEngine, StopEngine
from .export import ExportShot
from .job import CancelJob, Follow, ListJobs, RemoveJob, Submit
from .regions import CopyText, DismissWarnings, PaintPins, PaintRegion, ShowOverlay, UseGuess
from .render_shot import RenderShot
from .result import CompareResults, FetchResult, ImportResult, RemoveResult, ShowJob, ShowResult
from .takes import RecordTakes
from .unheld import PinTopEdge, Stiffen
from .views import CaptureViews, RenderPictures

CLASSES = (
    Animate,
    BindCharacter,
    PaintRegion,
    PaintPins,
    PinTopEdge,
    Stiffen,
    UseGuess,
    ShowOverlay,
    DismissWarnings,
    CopyText,
    ExportShot,
    CaptureViews,
    RenderPictures,
    RenderShot,
    StartEngine,
    StopEngine,
    Submit,
    Follow,
    CancelJob,
    RemoveJob,
    ListJobs,
    ShowFirstFrames,
    FetchResult,
    ShowJob,
    ShowResult,
    CompareResults,
    ImportResult,
    RemoveResult,
    RecordTakes,
)

"""Metrics: how near a restored or simulated clip comes to the truth, in pictures, over time and in space."""

from .clip import ClipSetting, ClipVersion
from .table import FIGURES, format_table, judge, mean_ci, summarise

__all__ = ["FIGURES", "ClipSetting", "ClipVersion", "format_table", "judge", "mean_ci", "summarise"]

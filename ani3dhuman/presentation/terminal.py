"""Progress bars and the closing table on a terminal."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from ani3d_formats.progress import Report


class Bars:
    """One bar a stage, with the time left; give `listen` to whatever runs the stages."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def listen(self, report: Report) -> None:
        """Show one report; a new stage opens a new bar below, a warning is a line of its own."""
        if report.stage == "warning":
            tqdm.write(f"warning: {report.message}")
            return
        if report.stage != self._stage:
            self.close()
            self._stage = report.stage
            layout = "{desc:<16}|{bar:30}| {percentage:3.0f}%  {elapsed} gone, {remaining} left {postfix}"
            self._bar = tqdm(total=report.total, desc=report.stage, bar_format=layout, ascii=" #", dynamic_ncols=True)
        if self._bar is not None:
            if report.message:
                self._bar.set_postfix_str(report.message, refresh=False)
            self._bar.update(report.step - self._bar.n)

    def close(self) -> None:
        """Finish the open bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def table(report: dict[str, Any]) -> str:
    """The table of a job (report.json) as text: seconds and peak memory per stage, counts, hem amplitude."""
    lines = [f"{'stage':<16}{'seconds':>9}{'peak GB':>9}"]
    for stage, seconds in report["seconds"].items():
        note = "  (finished before)" if stage in report["reused"] else ""
        lines.append(f"{stage:<16}{seconds:>9.1f}{report['peak_gb'][stage]:>9.2f}{note}")
    lines.append(f"{'all':<16}{sum(report['seconds'].values()):>9.1f}{max(report['peak_gb'].values()):>9.2f}")
    lines.append("")
    gaussians = f"{report['gaussians']} Gaussians, " if report["gaussians"] else ""
    lines.append(f"{report['frames']} frames, {gaussians}{report['vertices']} vertices")
    amplitudes = "  ->  ".join(f"{layer} {_short(value)}" for layer, value in report["hem_amplitude_cm"].items())
    lines.append(f"motion of the hem, cm RMS seen from the hips: {amplitudes}")
    for name, note in report["notes"].items():
        for number, part in enumerate(note if isinstance(note, list) else [note]):
            text = ", ".join(f"{k} {v}" for k, v in part.items()) if isinstance(part, dict) else part
            lines.append(f"{name} {number + 1}: {text}" if isinstance(note, list) else f"{name}: {text}")
    lines += [f"warning: {text}" for text in report.get("warnings", [])]
    return "\n".join(lines)


def _short(value: float) -> str:
    """One digit after the point, or two that count where that says nothing."""
    return f"{value:.1f}" if value == 0 or abs(value) >= 1 else f"{value:.2g}"

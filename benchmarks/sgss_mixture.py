"""Where truth is known: the sampler and its ablations on a Gaussian mixture, from inits outside the data.

python -m benchmarks.sgss_mixture [--seeds 12] [--samples 2000]

Writes out/bench/sgss_mixture.json (flat), sgss_mixture.md (tables) and sgss_mixture.png. What is measured and what
came out: docs/sampler.md.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from scipy.stats import t as student

from ani3dhuman.presentation.style import GRID, STYLE
from ani3dhuman.restoration.sampler.scheduler import SelfGuidedFlowMatchScheduler

from .mixture import MODES, Mixture, Yardstick, degraded

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OUT = Path(__file__).resolve().parents[1] / "out" / "bench"
SIDES = (8, 16, 32)  # pixels; a picture has side * side, its left half is right and preserved, the other degraded
KINDS = ("offset", "contrast", "checkerboard")
DISTANCES = (0.5, 1.0, 2.0, 4.0, 8.0)
STEPS = (3, 7, 14, 28, 56)
STRENGTHS = (0.3, 0.5, 0.7, 0.9)
SCALES = (0.05, 0.2, 0.5, 1.0)
FAR = 8.0  # the distance at which all sides are run besides the main one
COARSE = 4  # waves along each axis that "coarse" and "outside" look at: what an offset or contrast displaces
MAIN_SIDE, MAIN_DISTANCE, MAIN_STEPS, MAIN_STRENGTH = 8, 2.0, 7, 0.7
METHODS: dict[str, dict[str, Any]] = {
    "ode": {"stochastic_sampling": False, "guidance_scale": 0.0},
    "ode_guided": {"stochastic_sampling": False},
    "sde": {"guidance_scale": 0.0},
    "sgss": {},
    "swap": {"correction": "swap"},
    "match": {"correction": "match", "correction_every": 2},
}
FIGURES = ("sw", "sw_free", "mahalanobis", "coarse", "outside", "spread", "modes", "drift", "carry")


class Study:
    """All that one seed decides: mixture, inits, noise, true samples, directions."""

    def __init__(self, seed: int, samples: int, side: int = MAIN_SIDE) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.seed = seed
        self.mixture = Mixture.random(side, generator)
        self.init = self.mixture.sample(samples, generator)
        true = self.mixture.sample(samples, generator)
        self.other_true = self.mixture.sample(samples, generator)
        self.whole = Yardstick.to(true, generator, 0, 128)
        self.half = side // 2
        self.limit = self.mixture.nearest_mode(true, COARSE)[0].quantile(0.99)
        self.free = Yardstick.to(true, generator, self.half, 128)
        self.mask = torch.zeros(1, 1, 1, 1, side)
        self.mask[..., : self.half] = 1
        self.clean: dict[tuple[Any, ...], torch.Tensor] = {}

    def restored(self, init: torch.Tensor, steps: int, strength: float, options: dict[str, Any]) -> torch.Tensor:
        scheduler = SelfGuidedFlowMatchScheduler(strength=strength, seed=2 * self.seed, **options)
        scheduler.set_timesteps(steps)
        scheduler.set_self_guidance(init, self.mask)
        z = scheduler.initial_latents(init)
        for sigma, timestep in zip(scheduler.sigmas.tolist(), scheduler.timesteps, strict=False):
            z = scheduler.step(self.mixture.velocity(z, sigma), timestep, z).prev_sample
        return z

    def distances(self, out: torch.Tensor) -> dict[str, float]:
        squared, mode = self.mixture.nearest_mode(out)
        coarse, _ = self.mixture.nearest_mode(out, COARSE)
        shares = torch.bincount(mode, minlength=MODES) / len(mode)
        return {
            "sw": self.whole.distance(out),
            "sw_free": self.free.distance(out),
            "mahalanobis": float(squared.mean().sqrt()),
            "coarse": float(coarse.mean().sqrt()),
            "outside": float((coarse > self.limit).double().mean()),
            "spread": float(out.var(0).mean().sqrt()),
            "modes": float((shares - self.mixture.shares).abs().sum() / 2),
        }

    def measured(
        self, kind: str, distance: float, steps: int, strength: float, options: dict[str, Any]
    ) -> dict[str, float]:
        """FIGURES of one run; kind "clean" starts from true samples."""
        key = (steps, strength, *sorted(options.items()))
        if key not in self.clean:
            self.clean[key] = self.restored(self.init, steps, strength, options)
        init, out = self.init, self.clean[key]
        figures = {"carry": math.nan}
        if kind != "clean":
            init = degraded(self.init, kind, distance)
            out = self.restored(init, steps, strength, options)
            moved = init - self.init
            figures["carry"] = float(((out - self.clean[key]) * moved).sum() / moved.square().sum())
        drift = float((out - init)[..., : self.half].square().mean().sqrt())
        return {**self.distances(out), "drift": drift, **figures}


def runs() -> Iterator[tuple[str, str, float, int, float, dict[str, Any]]]:
    """Name, kind, distance, steps, strength and options of every run."""
    for name, options in METHODS.items():
        for steps in STEPS:
            yield f"{name}_clean_n{steps}", "clean", 0.0, steps, MAIN_STRENGTH, options
        for strength in STRENGTHS:
            yield f"{name}_clean_strength{strength:g}", "clean", 0.0, MAIN_STEPS, strength, options
        for kind in KINDS:
            for distance in DISTANCES:
                yield f"{name}_{kind}_d{distance:g}", kind, distance, MAIN_STEPS, MAIN_STRENGTH, options
            for steps in STEPS:
                yield f"{name}_{kind}_n{steps}", kind, MAIN_DISTANCE, steps, MAIN_STRENGTH, options
            for strength in STRENGTHS:
                yield f"{name}_{kind}_strength{strength:g}", kind, MAIN_DISTANCE, MAIN_STEPS, strength, options
    for name in ("ode_guided", "sgss"):
        for kind in ("clean", *KINDS):
            for scale in SCALES:
                options = {**METHODS[name], "guidance_scale": scale}
                yield f"{name}_{kind}_s{scale:g}", kind, MAIN_DISTANCE, MAIN_STEPS, MAIN_STRENGTH, options


def measure(seeds: int, samples: int) -> dict[str, np.ndarray]:
    """(seeds,) values under "run/figure"; "true/.." are those of a second true set, "init_../.." of the inits."""
    values: dict[str, list[float]] = {}

    def note(run: str, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            values.setdefault(f"{run}/{name}", []).append(value)

    for seed in range(seeds):
        started = time.perf_counter()
        study = Study(seed, samples)
        note("true", study.distances(study.other_true))
        for kind in KINDS:
            for distance in DISTANCES:
                note(f"init_{kind}_d{distance:g}", study.distances(degraded(study.init, kind, distance)))
        for name, kind, distance, steps, strength, options in runs():
            note(name, study.measured(kind, distance, steps, strength, options))
        for side in SIDES:
            study = Study(seed, samples, side)
            note(f"true_side{side}", study.distances(study.other_true))
            for name, options in METHODS.items():
                for kind in ("clean", *KINDS):
                    figures = study.measured(kind, MAIN_DISTANCE, MAIN_STEPS, MAIN_STRENGTH, options)
                    note(f"{name}_{kind}_side{side}", figures)
                    if kind != "clean":
                        figures = study.measured(kind, FAR, MAIN_STEPS, MAIN_STRENGTH, options)
                        note(f"{name}_{kind}_d{FAR:g}_side{side}", figures)
        print(f"seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
    return {name: np.array(column) for name, column in values.items()}


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half the 95 % confidence interval over seeds."""
    count = len(values)
    half = student.ppf(0.975, count - 1) * values.std(ddof=1) / math.sqrt(count) if count > 1 else math.nan
    return float(values.mean()), float(half)


def flat(values: dict[str, np.ndarray]) -> dict[str, float]:
    """Everything in one level: mean and interval of every figure, and of what the claim compares (paired)."""
    columns = {name.replace("/", "_"): column for name, column in values.items()}
    for name in METHODS:
        for kind in KINDS:
            for run in [f"d{d:g}" for d in DISTANCES] + [f"n{n}" for n in STEPS] + [f"side{n}" for n in SIDES]:
                clean = f"{name}_clean_{run if run[0] != 'd' else f'n{MAIN_STEPS}'}"
                for figure in ("sw", "sw_free", "mahalanobis"):
                    own = values[f"{name}_{kind}_{run}/{figure}"]
                    columns[f"{name}_{kind}_{run}_{figure}_over_clean"] = own - values[f"{clean}/{figure}"]
                    columns[f"{name}_{kind}_{run}_{figure}_over_ode"] = own - values[f"ode_{kind}_{run}/{figure}"]
    out = {}
    for name, column in columns.items():
        if not np.isnan(column).any():
            out[name], out[f"{name}_ci95"] = interval(column)
    return out


def tables(values: dict[str, np.ndarray]) -> str:
    """Everything as Markdown tables, a row a method."""

    def cell(column: np.ndarray, sign: str = "") -> str:
        mean, half = interval(column)
        return f"{mean:{sign}.3f} ± {half:.3f}"

    def table(figure: str, runs: list[str], minus: str | None = None) -> list[str]:
        lines = [f"\n{figure}{f' minus that of {minus}' if minus else ''}\n"]
        lines += [f"| method | {' | '.join(runs)} |", "|---" * (len(runs) + 1) + "|"]
        for name in METHODS:
            less = values[f"{name}_{minus}/{figure}"] if minus else 0
            cells = [cell(values[f"{name}_{run}/{figure}"] - less, "+" if minus else "") for run in runs]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        return lines

    lines = ["two true sets: " + ", ".join(f"{f} {cell(values[f'true/{f}'])}" for f in FIGURES[:7])]
    clean = f"clean_n{MAIN_STEPS}"
    for figure in FIGURES:
        lines += table(figure, [clean] * (figure != "carry") + [f"{kind}_d{MAIN_DISTANCE:g}" for kind in KINDS])
    for figure in ("sw", "sw_free", "mahalanobis"):
        for kind in KINDS:
            lines += table(figure, [f"{kind}_d{d:g}" for d in DISTANCES], minus=clean)
    for figure in FIGURES:
        for kind in ("clean", *KINDS) if figure != "carry" else KINDS:
            lines += table(figure, [f"{kind}_n{n}" for n in STEPS])
            lines += table(figure, [f"{kind}_strength{s:g}" for s in STRENGTHS])
            lines += table(figure, [f"{kind}_side{n}" for n in SIDES])
            if kind != "clean":
                lines += table(figure, [f"{kind}_d{FAR:g}_side{n}" for n in SIDES])
    for figure in ("drift", "sw", "carry"):
        for name in ("ode_guided", "sgss"):
            row = [cell(values[f"{name}_offset_s{s:g}/{figure}"]) for s in SCALES]
            lines.append(f"\n{figure}, offset, {name}, s = {SCALES}: {', '.join(row)}")
    return "\n".join(lines) + "\n"


LOOKS: dict[str, tuple[str, str, Any]] = {  # label, colour, line
    "ode": ("ODE", "#c8553d", "-"),
    "ode_guided": ("ODE + guidance", "#c8553d", (0, (3, 2))),
    "sde": ("SDE", "#3b6fb6", "-"),
    "sgss": ("SGSS", "#3b6fb6", (0, (3, 2))),
    "swap": ("swap", "#4f9d69", "-"),
    "match": ("match, every 2nd step", "#8a6bb1", (0, (1, 1.5))),
}


def plot(figures: dict[str, float], path: Path) -> None:
    """Eight panels from the flat figures; bands are 95 % intervals over seeds."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(2, 4, figsize=(12.5, 6.4), dpi=150, layout="constrained")

        def lines(axis: Any, key: str, sweep: tuple[float, ...], label: str, names: Iterable[str] = METHODS) -> None:
            """Mean and band of every method; `key` has {m} for the method and {x} for the place on the axis."""
            for name in names:
                text, colour, dash = LOOKS[name]
                keys = [key.format(m=name, x=f"{x:g}") for x in sweep]
                mean, half = (np.array([figures[k + end] for k in keys]) for end in ("", "_ci95"))
                axis.plot(sweep, mean, color=colour, linestyle=dash, marker="o", markersize=2.5, label=text)
                axis.fill_between(sweep, mean - half, mean + half, color=colour, alpha=0.13, linewidth=0)
            axis.set(xscale="log", xlabel=label)
            axis.set_xticks(sweep, [f"{x:g}" for x in sweep])
            axis.minorticks_off()
            axis.grid(color=GRID)

        def mark(axis: Any, height: float, text: str, colour: str = "#7b818a", below: bool = False) -> None:
            axis.axhline(height, color=colour, linewidth=0.9, linestyle=":")
            axis.annotate(text, (0.98, height), xycoords=("axes fraction", "data"), xytext=(0, -9 if below else 2),
                          textcoords="offset points", fontsize=7, ha="right", color=colour)  # fmt: skip

        w2, carried, pixels = "sliced W2 to the data, pixel std", "share of the displacement", "pixels a side"
        for axis, kind in zip(axes[0], KINDS[:2], strict=False):
            lines(axis, f"{{m}}_{kind}_d{{x}}_sw", DISTANCES, "displacement d of the init, pixel std")
            axis.set(title=kind.capitalize(), ylim=(0, 1.6))
            mark(axis, figures["true_sw"], "two true sets" if kind == KINDS[0] else "")
        axes[0, 0].set_ylabel(w2)
        lines(axes[0, 2], "{m}_offset_side{x}_sw", SIDES, pixels)
        axes[0, 2].set(title="Offset, larger pictures", ylim=(0, 1.6))
        mark(axes[0, 2], figures["true_sw"], "")
        lines(axes[0, 3], f"{{m}}_contrast_d{FAR:g}_side{{x}}_coarse", SIDES, pixels)
        axes[0, 3].set(title=f"Contrast, d = {FAR:g}", ylim=(0, None), ylabel="std from nearest kind")
        mark(axes[0, 3], 1.0, "true samples")
        lines(axes[1, 0], "{m}_clean_n{x}_sw", STEPS, "steps")
        axes[1, 0].set(title="From a clean init", ylabel=w2, ylim=(0, 0.5))
        mark(axes[1, 0], figures["true_sw"], "two true sets", below=True)
        lines(axes[1, 1], "{m}_clean_s{x}_drift", SCALES, "guidance scale s", ("ode_guided", "sgss"))
        axes[1, 1].set(title="Drift where preserved", ylim=(0, 1.6), ylabel="RMS from the init, pixel std")
        for name in ("ode", "sde", "swap"):
            mark(axes[1, 1], figures[f"{name}_clean_n{MAIN_STEPS}_drift"], LOOKS[name][0], LOOKS[name][1])
        mark(axes[1, 1], math.sqrt(2), "unrelated pictures")
        lines(axes[1, 2], "{m}_offset_n{x}_carry", STEPS, "steps")
        axes[1, 2].set(title="Offset left in the sample", ylabel=carried, ylim=(-0.02, 0.7))
        lines(axes[1, 3], "{m}_offset_side{x}_carry", SIDES, pixels)
        axes[1, 3].set(title="The same in larger pictures", ylim=(-0.02, 0.7))
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(METHODS), frameon=False)
        figure.savefig(path)
        plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--samples", type=int, default=2000)
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    values = measure(options.seeds, options.samples)
    figures = {"seeds": float(options.seeds), "samples": float(options.samples), **flat(values)}
    text = json.dumps({name: float(f"{value:.6g}") for name, value in figures.items()}, indent=2)
    (OUT / "sgss_mixture.json").write_text(text, encoding="utf-8")
    plot(figures, OUT / "sgss_mixture.png")
    (OUT / "sgss_mixture.md").write_text(tables(values), encoding="utf-8")
    print(f"written: {OUT}/sgss_mixture.json, sgss_mixture.md, sgss_mixture.png")


if __name__ == "__main__":
    main()

"""A long shot at full size through Wan VACE with tiny random networks: does every frame come back, without seams?

    python tests/restoration/wan_long.py [--frames 200] [--size 333x517] [--fps 23.976]

What test_wan_long.py checks with a small video inside, here without scaling down. It says
nothing about quality or about the time of real weights.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

from ani3dhuman.restoration import RestoreConfig, restore
from ani3dhuman.restoration.wan.prior import WanConditions

sys.path.insert(1, str(Path(__file__).parent.parent))


def main() -> None:
    from wan_scene import clip_at, moving_bar, noise_picture, tiny_prior

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--size", default="333x517", help="WxH pixels")
    parser.add_argument("--fps", type=float, default=23.976)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    clip = clip_at(args.frames, width, height, args.fps)
    conditions = WanConditions(moving_bar, "a walk", "blur", noise_picture(width, height))
    began = time.monotonic()
    restored = restore(tiny_prior(conditions), clip, RestoreConfig())
    seconds = time.monotonic() - began
    change = np.abs(np.diff(restored.frames, axis=0)).mean((1, 2, 3))
    print(f"{seconds:.0f} s, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")
    print(f"frames {restored.frames.shape}, finite {np.isfinite(restored.frames).all()}, {restored.report}")
    print(f"change from frame to frame: mean {change.mean():.4f}, largest {change.max():.4f} after {change.argmax()}")


if __name__ == "__main__":
    main()

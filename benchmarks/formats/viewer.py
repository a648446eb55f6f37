"""The page of a result in headless Chromium: how long to the first picture, by the page's own clock."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from ani3d_formats.frames import FrameCache
from ani3d_formats.shot import Shot
from ani3dhuman.viewer.page import write_page

ROUNDS = 3
NAMES = ("chromium", "chromium-browser", "google-chrome")


def first_picture(folder: Path, cache: FrameCache, shot: Shot) -> dict[str, float]:
    """Seconds from opening the file to its first picture, the median of some; nothing without Chromium."""
    browser = next((found for name in NAMES if (found := shutil.which(name))), None)
    if browser is None:
        print("the viewer was not tried: there is no Chromium")
        return {}
    page, head = folder / "page.html", cache.manifest
    write_page(page, cache, range(head.frame_start, head.frame_end + 1), shot)
    command = [browser, "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    command += ["--window-size=1280,800", "--dump-dom", "--timeout=20000", page.resolve().as_uri()]
    times = []
    for _ in range(ROUNDS):
        said = subprocess.run(command, capture_output=True, text=True, timeout=180).stdout
        ready = re.search(r'data-ready="(\d+)"', said)
        if ready:
            times.append(int(ready[1]) / 1000)
    if not times:
        print("the viewer was not measured: the page never said that it was ready")
        return {}
    return {
        "viewer_first_picture_seconds": sorted(times)[len(times) // 2],
        "viewer_page_mb": page.stat().st_size / 1e6,
        "viewer_gaussians": head.count,
    }

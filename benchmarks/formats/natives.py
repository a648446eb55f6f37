"""Gaussians as Blender's importers read them: as native splats in 5.3, as points with attributes before; PLY out again.

In Blender: python benchmarks/formats/natives.py FOLDER, with probe.ply (Z up) and probe.spz in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from ani3dhuman.splats.formats import read_splats, write_splats
from ani3dhuman.splats.splats import Splats

READ = """
import bpy, sys, numpy as np
from pathlib import Path
folder, found = Path(sys.argv[1]), {}
bpy.ops.wm.read_factory_settings(use_empty=True)
def values(data, name, width):
    array = np.empty(len(data.attributes[name].data) * width, np.float32)
    data.attributes[name].data.foreach_get({1: 'value', 3: 'vector', 4: 'value'}[width], array)
    return array.reshape(-1, width)
def read(kind, item):
    data = item.data
    found[f'{kind}/type'] = np.array(item.type)
    found[f'{kind}/position'] = values(data, 'position', 3)
    if item.type != 'POINTCLOUD':
        for name in ('f_dc_0', 'opacity', 'scale_0', 'rot_0', 'f_rest_44'):
            found[f'{kind}/{name}'] = values(data, name, 1)
        return
    found[f'{kind}/scale'] = values(data, 'scale', 3)
    for name in ('rotation', 'radiance:base'):
        part = data.attributes[name].data
        array = np.empty(len(part) * 4, np.float32)
        part.foreach_get(next(p.identifier for p in part[0].bl_rna.properties if p.identifier != 'rna_type'), array)
        found[f'{kind}/{name}'] = array.reshape(-1, 4)
    found[f'{kind}/coefficients'] = np.array(sum(a.name.startswith('radiance:sh_') for a in data.attributes))
bpy.ops.wm.ply_import(filepath=str(folder / 'probe.ply'), forward_axis='Y', up_axis='Z')
ply = bpy.context.selected_objects[0]
read('ply', ply)
if ply.type == 'MESH':
    bpy.ops.wm.ply_export(filepath=str(folder / 'again.ply'), forward_axis='Y', up_axis='Z', export_attributes=True,
                          export_selected_objects=True, export_uv=False, export_normals=False, export_colors='NONE')
if hasattr(bpy.types, 'WM_OT_spz_import') or 'spz_import' in dir(bpy.ops.wm):
    bpy.ops.wm.spz_import(filepath=str(folder / 'probe.spz'))
    read('spz', bpy.context.selected_objects[0])
np.savez(folder / 'natives.npz', **found)
"""


def in_blender(python: Path, folder: Path) -> dict[str, np.ndarray]:
    """What a Blender reads of the two files: arrays by KIND/NAME."""
    done = subprocess.run([str(python), "-c", READ, str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stdout[-500:] + done.stderr[-1500:])
    with np.load(folder / "natives.npz") as found:
        return {name: found[name] for name in found.files}


def reads_right(python: Path, folder: Path, splats: Splats) -> bool:
    """Whether a Blender shows every place of `splats`, of degree 3, from PLY and SPZ files written in `folder`.

    From 5.3 on as native splats with all colours; before, as points whose PLY out of Blender again is ours to the bit.
    """
    write_splats(folder / "probe.ply", splats, "z-up")
    write_splats(folder / "probe.spz", splats)
    (folder / "again.ply").unlink(missing_ok=True)
    read = in_blender(python, folder)
    good = np.array_equal(read["ply/position"], splats.means)
    if str(read["ply/type"]) == "POINTCLOUD":
        good &= int(read["ply/coefficients"]) == int(read["spz/coefficients"]) == 15
        good &= float(np.abs(read["spz/position"] - splats.means).max()) < 2e-4
        return bool(good and np.abs(read["ply/radiance:base"][:, :3] - splats.sh[:, 0]).max() < 1e-6)
    again, first = read_splats(folder / "again.ply", "z-up"), read_splats(folder / "probe.ply")
    names = ("means", "quats", "scales", "opacities", "sh")
    return bool(good and all(np.array_equal(getattr(again, name), getattr(first, name)) for name in names))


if __name__ == "__main__":
    read = in_blender(Path(sys.executable), Path(sys.argv[1]))
    print(json.dumps({name: list(array.shape) for name, array in read.items()}, indent=1))

"""The extension knows the fabrics by name only."""

import ast
from pathlib import Path

from ani3dhuman.cloth.fabrics import FABRICS

PINS = Path(__file__).resolve().parents[2] / "blender_addon" / "export" / "cloth_settings.py"


def test_the_extension_names_fabrics_that_there_are():
    tree = ast.parse(PINS.read_text(encoding="utf-8"))
    tables = [n.value for n in tree.body if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") == "FABRICS"]
    names = set(ast.literal_eval(tables[0]))
    assert names <= set(FABRICS) - {"hair"}

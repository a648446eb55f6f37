"""Largest differences to the float64 oracle over all scenes: values, gradients, share left out; how many.

python tests/rendering/agreement_figures.py
"""

from agreement import compare
from agreement_scenes import SCENES

if __name__ == "__main__":
    found = [compare(*scene) for scene in SCENES.values()]
    print(max(f.value for f in found), max(f.gradient for f in found), max(f.left_out for f in found), len(found))

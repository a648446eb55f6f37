"""Cloth Truth: clothed, rigged humans whose cloth motion is known, from Blender's own cloth solver."""

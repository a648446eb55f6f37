"""The compact prior, which ships with the package: a small network on the displacement of cloth and hair.

Read `prior`, then `feature_maps` (mesh to maps), `network`, `lifting` (maps back to the mesh), `noise`.
"""

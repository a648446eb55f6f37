"""Fabrics in the laboratory: the drape test of Cusick and the cantilever test of Peirce, by the cloth solver."""

"""An avatar fitted to pictures of its character: drawn from the mesh's own surfaces, or rendered by Blender."""

"""Triangle meshes: topology, frames, normals, and the distance to a surface."""

"""How close the engine's light is to Cycles' on the same meshes."""

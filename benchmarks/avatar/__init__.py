"""How much the avatar looks like Blender's own picture of the character."""

"""Blender as a program: finding it, and running a script in it."""

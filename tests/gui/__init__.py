"""The extension in a real window of Blender, driven by simulated keys and mouse: `make gui-test`."""

"""Results in renders: film frames merged with Blender's picture, and Gaussians as Blender draws them."""

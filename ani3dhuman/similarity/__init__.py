"""How alike two pictures are: structural similarity and a trained perceptual distance."""

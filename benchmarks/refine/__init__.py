"""How well the residual field learns cloth from video, on sequences of Cloth Truth."""

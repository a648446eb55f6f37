"""The layers of motion: rigid (skinning), physics (cloth), residual (a trainable field)."""

"""The solver's substeps on a CUDA card, in warp's kernels: see `steps`. Jobs of the CPU import nothing of this."""

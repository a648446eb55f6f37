"""What a machine with a CUDA card shows in eight minutes: kernels, a whole job, refinement, a full-size video model."""

"""What a machine with a CUDA card shows in eight minutes: kernels, cloth, a fit, a whole job, a large video model."""

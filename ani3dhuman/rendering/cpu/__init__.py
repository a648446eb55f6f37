"""The CPU backend: numba kernels in explicit SIMD, forward and backward, joined to torch's autograd in `autograd`.

simd, simd_memory       vectors as a numba type
footprint               what a Gaussian is to the compositing kernels
projection(_backward)   means, quats, scales, cameras -> means2d, covs2d, depths, radii, splat records
harmonics               spherical harmonics -> colours
tiles                   which Gaussians touch which 32x32 tile, in depth order
composite(_backward)    front-to-back blending of each tile, and its gradients
"""

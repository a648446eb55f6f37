"""The CPU backend: numba kernels, forward and backward, joined to torch's autograd in `autograd`.

projection   means, quats, scales, cameras -> means2d, conics, depths, radii
harmonics    spherical harmonics -> colours
tiles        which Gaussians touch which 16x16 tile, in depth order
composite    front-to-back blending of each tile, and its gradients
"""

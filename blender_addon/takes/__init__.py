# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes: the bound character under random motion, its cloth simulated by Blender, to train a prior on.

A take is a folder with `shot.npz`, the rigid character, and `truth.pc2`, where its vertices really went.
"""

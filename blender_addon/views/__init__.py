# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the character that Blender renders, for the engine to fit the avatar to."""

# SPDX-License-Identifier: GPL-3.0-or-later
"""Film frames of a result by the engine, and how they come together with Blender's own picture."""

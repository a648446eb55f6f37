"""Poses as control models read them: keypoints found in a rig, and their drawings."""

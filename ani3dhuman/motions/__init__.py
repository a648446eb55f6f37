"""Motions from files of other programs, and their way onto any human rig."""

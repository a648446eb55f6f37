"""Cloth and hair that swing: an XPBD solver over the body, and the limits that later stages keep."""

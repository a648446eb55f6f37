# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of a character are body, face, hair or garment: told from names (`name_matching`), weighed
against geometry (`guess`), and kept on the scene (`parts`)."""

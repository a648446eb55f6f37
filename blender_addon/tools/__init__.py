# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools for developers of the add-on; no part of the extension."""

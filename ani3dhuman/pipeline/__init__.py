"""The stages joined: a shot goes in, caches and pictures come out.

`animate.animate` runs a job; `settings.Settings` says how, and imports nothing heavy.
"""

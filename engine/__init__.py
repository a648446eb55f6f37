"""The local compute service: one process that takes shots over ZeroMQ and runs them through ani3dhuman.

Only `engine.wire` travels into Blender (numpy, pyzmq, msgpack), so this file imports nothing.
"""

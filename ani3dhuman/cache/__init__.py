"""The frame cache on disk, mesh caches, pictures and videos: everything a job leaves behind."""

from .frames import CacheWriter, FrameCache, file_sha256, write_cache
from .pc2 import PC2Writer, PointCache, read_pc2
from .video import VideoWriter, read_video, write_png

__all__ = [
    "CacheWriter",
    "FrameCache",
    "PC2Writer",
    "PointCache",
    "VideoWriter",
    "file_sha256",
    "read_pc2",
    "read_video",
    "write_cache",
    "write_png",
]

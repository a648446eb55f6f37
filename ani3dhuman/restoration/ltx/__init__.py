"""LTX-Video, the example of docs/extending_video.md: read `prior`, then `loader`."""

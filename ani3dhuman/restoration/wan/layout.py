"""How a scene's pictures become Wan's video: `video_layout` with Wan's numbers."""

from functools import partial

from ...models.shapes import PERIOD
from ..video.layout import video_layout

WAN_RATE = 16.0  # frames a second of Wan's training videos; at another rate it sees motion slowed down or sped up
WAN_PIXELS = 480 * 832  # of the size that all of its models know

wan_layout = partial(video_layout, frame_rate=WAN_RATE, max_pixels=WAN_PIXELS, multiple=16, period=PERIOD)

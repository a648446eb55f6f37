"""What a video prior is told besides the pictures: control videos, reference picture, preserve mask."""

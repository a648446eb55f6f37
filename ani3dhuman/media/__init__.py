"""Pictures, video and film files."""

"""Whether the tool works for everybody's character: 20 rigs built here and five of others, with default settings."""

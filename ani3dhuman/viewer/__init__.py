"""A result in a web page of its own: one file, no network."""

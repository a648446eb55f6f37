"""glTF 2.0: files, scenes in motion, and characters in and out."""

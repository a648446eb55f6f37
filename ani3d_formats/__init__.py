"""The file formats and rules that library, engine and extension share."""

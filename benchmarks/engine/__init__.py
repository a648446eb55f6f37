"""What the engine survives (`chaos`) and how fast it is (`speed`)."""

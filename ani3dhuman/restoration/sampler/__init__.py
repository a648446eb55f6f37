"""Self-guided stochastic sampling, and corrections of its samples."""

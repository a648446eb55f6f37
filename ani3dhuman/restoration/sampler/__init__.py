"""Self-guided stochastic sampling: read `scheduler` (one step), then `correction` (how a sample is drawn back)."""

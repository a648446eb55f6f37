"""Self-guided stochastic sampling: read `self_guided` (one step), then `correction` (how a sample is drawn back)."""

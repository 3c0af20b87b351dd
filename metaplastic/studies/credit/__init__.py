"""Credit assignment: how rules stand to the gradient, and what attention-gated feedback learns."""

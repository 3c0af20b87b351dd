"""Real images, learned from one at a time."""

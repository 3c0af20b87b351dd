"""Studies of rules that learn from reward alone."""

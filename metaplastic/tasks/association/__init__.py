"""What belongs to what, learned within a lifetime."""

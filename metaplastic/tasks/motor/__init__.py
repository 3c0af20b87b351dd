"""Tasks that move a body."""

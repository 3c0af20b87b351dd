"""Tasks that ask when."""

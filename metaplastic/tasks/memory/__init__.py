"""Tasks that ask what was shown before."""

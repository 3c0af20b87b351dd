"""Mazes, path integration and foraging."""

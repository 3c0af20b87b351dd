"""Curves that a network is trained to draw."""

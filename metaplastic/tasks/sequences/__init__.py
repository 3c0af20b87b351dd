"""Sequences whose far ends belong together."""

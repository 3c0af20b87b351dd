"""Bandits and their kin: what is worth choosing is found out within a lifetime."""

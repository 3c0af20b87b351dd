"""Reward-trained recurrent networks on cognitive and value-based tasks (Song, Yang & Wang 2017)."""

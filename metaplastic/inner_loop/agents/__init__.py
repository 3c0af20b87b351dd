"""Recurrent agents: networks that act, remember and are trained over many episodes, a whole population at once."""

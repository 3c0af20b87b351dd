"""Meta-RL agents and their dopamine signals: the simulations of Wang et al. 2018 and its kin."""

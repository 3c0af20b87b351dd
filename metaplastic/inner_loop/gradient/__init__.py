"""Learning by gradient: the oracles and ceilings that local rules are measured against."""

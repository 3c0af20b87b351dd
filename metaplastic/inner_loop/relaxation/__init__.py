"""Rules that let activity settle under a constraint, and learn from where it comes to rest."""

"""Recursive least squares in recurrent networks: FORCE, full-FORCE, innate training."""

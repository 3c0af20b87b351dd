"""A local learning rule is a formula: parsed, analysed, and written out for PyTorch, Numba and LaTeX."""

"""Fused CPU kernels, generated from formulas."""

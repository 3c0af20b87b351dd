"""Objectives: what a brain is driven by in its life. `OBJECTIVES` names what a life takes; the rest is functions."""

from metaplastic.inner_loop.objectives.answer import AnswerCost, BinaryCrossEntropy, CrossEntropy, SquaredError
from metaplastic.inner_loop.objectives.mixture import OBJECTIVES, TERMS, Mixture, terms_of
from metaplastic.inner_loop.objectives.terms import Cost, Energy, Homeostasis, Reward, SparseActivity, SparseRate, Term

__all__ = [
    "OBJECTIVES",
    "TERMS",
    "AnswerCost",
    "BinaryCrossEntropy",
    "Cost",
    "CrossEntropy",
    "Energy",
    "Homeostasis",
    "Mixture",
    "Reward",
    "SparseActivity",
    "SparseRate",
    "SquaredError",
    "Term",
    "terms_of",
]

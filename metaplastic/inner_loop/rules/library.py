"""Every rule by name."""

from __future__ import annotations

from metaplastic.core import Rule
from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.gradient.backprop import Backprop
from metaplastic.inner_loop.rules.abcd import ABCD
from metaplastic.inner_loop.rules.bcm import BCM
from metaplastic.inner_loop.rules.covariance import Covariance
from metaplastic.inner_loop.rules.fixed import Fixed
from metaplastic.inner_loop.rules.formula_rule import FormulaRule
from metaplastic.inner_loop.rules.hebbian import Hebbian
from metaplastic.inner_loop.rules.oja import Oja
from metaplastic.inner_loop.rules.perturbation import Miconi17, NodePerturbation
from metaplastic.inner_loop.rules.q_agrel import QAgrel
from metaplastic.inner_loop.rules.three_factor import ThreeFactor

RULES: dict[str, type[Rule]] = {
    "formula": FormulaRule,
    "fixed": Fixed,
    "hebbian": Hebbian,
    "covariance": Covariance,
    "oja": Oja,
    "bcm": BCM,
    "abcd": ABCD,
    "three_factor": ThreeFactor,
    "node_perturbation": NodePerturbation,
    "miconi17": Miconi17,
    "q_agrel": QAgrel,
    "backprop": Backprop,
    "a2c": A2C,
}
"""kind -> rule"""

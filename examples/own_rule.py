"""One's own rule as a formula: what it reads, how it looks in a paper, and what it does to a weight.

A formula is text over the signals of one synapse (`metaplastic describe formula` lists them) and coefficients of one's
own. It is parsed by a whitelist, compiled for the whole population, and says itself how local it is.
"""

import torch

from metaplastic.inner_loop.formula import to_latex, to_torch
from metaplastic.inner_loop.formula.locality import locality
from metaplastic.inner_loop.formula.terms import terms
from metaplastic.inner_loop.rules.formula_rule import FormulaRule

rule = FormulaRule(
    update="eta * rpe * e - decay * w",
    traces={"e": "0.9 * e + pre * post"},  # an eligibility trace in every synapse
    parameters={"eta": 0.1, "decay": 0.01},
)
program = rule.program()
print(to_latex.plain(program))
print(to_latex.latex(program, {"eta": 0.1, "decay": 0.01}))
print("a synapse reads:", ", ".join(sorted(locality(program))))
print("terms:", ", ".join(name for name, _ in terms(program)))

# one brain, one lifetime, two postsynaptic and three presynaptic neurons
w = torch.ones(1, 1, 2, 3)
signals = {
    "pre": torch.tensor([1.0, 2.0, 0.0]).reshape(1, 1, 1, 3),
    "post": torch.tensor([1.0, -1.0]).reshape(1, 1, 2, 1),
    "rpe": torch.tensor(0.5).reshape(1, 1, 1, 1),
}
numbers = {name: torch.tensor(float(value)).reshape(1, 1, 1, 1) for name, value in rule.coefficients().items()}
w, traces = to_torch.step(program, numbers, w, to_torch.start(program, w), signals)
print("weights after a step:\n", w[0, 0])
assert torch.allclose(w[0, 0, 0, 1], torch.tensor(1 + 0.1 * 0.5 * 2.0 - 0.01))

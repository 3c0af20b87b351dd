"""The champion of a search: how it is chosen, and what is told of its rule.

The best fitness of a generation is partly luck, so the champion is chosen once more: the elites of the last generations
and the mean of the last generation's better quarter (near the centre of a Gaussian searcher) live the same fresh
lifetimes, of the search's own pool; the best of them is the champion.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from metaplastic.core import Number
from metaplastic.inner_loop.formula import to_latex
from metaplastic.inner_loop.formula.grammar import clip, operands
from metaplastic.inner_loop.formula.naming import likeness
from metaplastic.inner_loop.formula.terms import terms
from metaplastic.inner_loop.formula.to_text import formula_text
from metaplastic.inner_loop.rules.formula_rule import FormulaRule
from metaplastic.inner_loop.rules.local import LocalRule
from metaplastic.outer_loop.genome import dotted, replace
from metaplastic.platform.comparison import trial
from metaplastic.platform.evaluate import evaluate, generation_key
from metaplastic.platform.experiment import Experiment

KEY = -2
"""the generation whose key the choice among candidates lives under"""
FINALISTS = 12
"""elites of the last generations that are tried again"""
PATIENCE = 4
"""times as many lifetimes as in the search"""


def candidates(
    elites: Float[Tensor, "n G"], genomes: Float[Tensor, "P G"], fitness: Float[Tensor, "P K"]
) -> Float[Tensor, "m G"]:
    """The elites of the last generations, and the mean of the last one's better quarter by the first objective."""
    better = fitness[:, 0].argsort(descending=True, stable=True)[: max(1, len(genomes) // 4)]
    return torch.cat([elites[-FINALISTS:], genomes[better].mean(0, keepdim=True)])


def choose(experiment: Experiment, genomes: Float[Tensor, "m G"]) -> tuple[Float[Tensor, " G"], float]:
    """The best candidate by the first objective over fresh lifetimes, and its fitness there."""
    longer = experiment.model_copy(update={"lifetimes": experiment.lifetimes * PATIENCE})
    fitness = evaluate(longer, genomes, generation_key(experiment.seed, KEY)).fitness[:, 0]
    fitness = torch.where(fitness.isfinite(), fitness, -torch.inf)
    best = int(fitness.argmax())
    return genomes[best], fitness[best].item()


def formula_of(rule: Any) -> dict[str, str] | None:
    """A local rule as text and LaTeX, in symbols and with its numbers; None for rules that no formula states."""
    if not isinstance(rule, LocalRule):
        return None
    program, numbers = rule.program(), plain_numbers(rule)
    return {
        "text": to_latex.plain(program, numbers),
        "latex": to_latex.latex(program, numbers),
        "symbolic_text": to_latex.plain(program),
        "symbolic_latex": to_latex.latex(program),
        "known_as": str(likeness(program, numbers) or ""),
    }


def plain_numbers(rule: LocalRule) -> dict[str, float]:
    """The coefficients that are plain numbers; tensors keep their symbol."""
    return {name: float(value) for name, value in rule.parameter_values().items() if isinstance(value, int | float)}


def ablations(champion: Experiment, genes: Iterable[str], lifetimes: int) -> list[dict[str, Any]]:
    """The champion without each term of its rule, and with each gene of rule and objective at 0.

    They live the comparison's held-out lifetimes; nothing is searched again.
    """
    rule = champion.rule
    if not isinstance(rule, LocalRule):
        return []
    names = [name for name, _ in terms(rule.program())]
    rest = {}
    for index, name in enumerate(names if len(names) > 1 else ()):
        rest[name] = champion.model_copy(update={"rule": _switched(rule, index)})
    for name in genes:
        if name.startswith(("rule.", "objective.")):
            zeroed = replace(champion, lambda path, node, name=name: 0.0 if dotted(path) == name else node)
            if zeroed is champion:  # inside a choice, whose options are gone
                continue
            rest[f"{name.removeprefix('rule.').removeprefix('parameters.')} = 0"] = zeroed
    return [{"without": name, **trial(name, "control", one, lifetimes).as_json()} for name, one in rest.items()]


def champion_json(experiment: Experiment, champion: Experiment, genes: dict[str, Any], score: float) -> dict[str, Any]:
    """What is written to champion.json."""
    rule = champion.rule
    return {
        "formula": formula_of(rule),
        "coefficients": plain_numbers(rule) if isinstance(rule, LocalRule) else {},
        "genes": genes,
        "score": score,
        "score_is": f"mean {experiment.fitness[0].metric}, {experiment.lifetimes * PATIENCE} lives on the search pool",
        "ablation": ablations(champion, genes, experiment.comparison.lifetimes),
    }


def _switched(rule: LocalRule, off: int) -> FormulaRule:
    """The rule with a switch before each of its terms, all 1 but number `off`: one formula, so one kernel, for all."""
    program = rule.program()
    found = terms(program)
    update = " + ".join(f"switch{index} * ({formula_text(term)})" for index, (_, term) in enumerate(found))
    if isinstance(program.update, clip):  # the terms are those of what is clipped
        low, high = operands(program.update)[1:]
        update = f"clip({update}, {formula_text(low)}, {formula_text(high)})"
    switches: dict[str, Number] = {f"switch{index}": float(index != off) for index in range(len(found))}
    read = {str(symbol) for e in (program.update, *(t.value for t in program.traces)) for symbol in e.free_symbols}
    coefficients = {name: value for name, value in rule.coefficients().items() if name in read}
    shared = {name: getattr(rule, name) for name in LocalRule.model_fields if name != "kind"}
    return FormulaRule(
        update=update,
        traces={trace.name: formula_text(trace.value) for trace in program.traces},
        writes=program.writes,
        parameters={**coefficients, **switches},
        **shared,
    )

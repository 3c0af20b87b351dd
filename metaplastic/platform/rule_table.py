"""Every rule in one table, made from the code: `metaplastic rules --markdown` writes `docs/rules/README.md`.

A formula rule's equation is what its text was parsed to, its locality is read off it, its genes are its fields. Of
other rules the first line of their docstring stands for the equation. What a rule should do and what it did where we
tried it is not in the code: EVIDENCE says it, each with the test that shows it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic.fields import FieldInfo
from rich.table import Table

from metaplastic.core import Rule
from metaplastic.fields import Evolves
from metaplastic.inner_loop.formula.locality import locality
from metaplastic.inner_loop.formula.to_latex import plain
from metaplastic.inner_loop.rules.formula_rule import FormulaRule
from metaplastic.inner_loop.rules.library import RULES
from metaplastic.inner_loop.rules.local import LocalRule


class Evidence(NamedTuple):
    """What a rule should do, what it did, and where that is tested."""

    law: str
    reached: str
    test: str
    """a file of tests/inner_loop"""


UNSUPERVISED = "test_unsupervised_rules.py"
TRANSPORT, PERTURBATION = "test_feedback_transport.py", "test_perturbation_rules.py"
GRADIENTS = "test_recurrent_gradients.py"
DENDRITES = "test_dendritic_rules.py"
EVIDENCE: dict[str, Evidence] = {
    "hebbian": Evidence("grows along PC1 without limit", "cos .996, length 3e8 after 2,000 inputs", "test_rules.py"),
    "oja": Evidence("first principal component, length 1", "cos ≥ .997, length 1.001", "test_rules.py"),
    "sanger": Evidence("neuron i is component i", "cos ≥ .9997, k = 3", UNSUPERVISED),
    "oja_subspace": Evidence("spans the first components", "cos of angles 1.0000, k = 3", UNSUPERVISED),
    "covariance": Evidence("no drift for independent neurons", "mean within 4 standard errors", "test_rules.py"),
    "bcm": Evidence("responses 2 and 0 to two patterns", "1.70 to 2.07 and -.03 to .03", "test_rules.py"),
    "synaptic_scaling": Evidence("mean at its target, ratios stay", "within 1 %; ratios to 1e-10", UNSUPERVISED),
    "intrinsic_plasticity": Evidence(
        "mean mu; P(y > 2 mu) = .135 if exponential", ".103 for .1; .145 (P(y > 4 mu) .033, not .018)", UNSUPERVISED
    ),
    "abcd": Evidence("A alone is Hebb's rule", "the same bits", "test_evolved_formula.py"),
    "polynomial": Evidence("two of 27 terms are Oja's rule", "to 1e-12", "test_rule_families.py"),
    "mlp": Evidence("four units are Hebb's rule", "cos .9999 on [-1, 1]²", "test_rule_families.py"),
    "three_factor": Evidence("e decays and adds up", "by hand", "test_rules.py"),
    "stdp": Evidence("window A decay^n on both sides", "to 1e-15", "test_stdp.py"),
    "reward_stdp": Evidence("expected reward changes nothing", "exactly 0", "test_stdp.py"),
    "inhibitory_stdp": Evidence("each neuron at its rate", "within 4 %", "test_stdp.py"),
    "node_perturbation": Evidence("without noise nothing is learned", "exactly 0", "test_rules.py"),
    "miconi17": Evidence("the authors' loop", "to 1e-15", "test_rules.py"),
    "q_agrel": Evidence("gradient of delta² / 2", "see the test", "test_decision_life.py"),
    "plasticity_pool": Evidence("its terms are FA, errors, Oja's subspace", "to 1e-10", "test_plasticity_pool.py"),
    "differentiable_plasticity": Evidence(
        "completes half-seen patterns",
        ".97 of 16 bits (plain network .78), 2,000 trials",
        "test_differentiable_plasticity.py",
    ),
    "backpropamine": Evidence(
        "completes half-seen patterns",
        ".98 of 16 bits (plain network .78), 2,000 trials",
        "test_differentiable_plasticity.py",
    ),
    "bptt": Evidence("autograd, rate and spiking networks", "to 1e-10, 1e-9", GRADIENTS),
    "rtrl": Evidence("equals BPTT; SnAp-n once it spans", "to 1e-10", GRADIENTS),
    "snap1": Evidence("autograd, influence on others detached", "to 1e-10", GRADIENTS),
    "uoro": Evidence("mean of many draws is RTRL, z rms .8 to 1.2", ".99, 20,000 draws", "test_rank_one.py"),
    "kf_rtrl": Evidence("mean of many draws is RTRL, z rms .8 to 1.2", "1.06, 20,000 draws", "test_rank_one.py"),
    "rflo": Evidence("three sines, loss ≤ 10 times BPTT's", "1.4 times, 10,000 trials", "test_rflo_notebook.py"),
    "eprop": Evidence("autograd, spikes to others detached", "to 1e-9, LIF and ALIF", "test_eprop.py"),
    "eprop_reward": Evidence("autograd of its losses; errors as they come", "to 1e-9", "test_eprop_reward.py"),
    "song17": Evidence(
        "autograd of both losses; mean gradient is that of E[R]", "to 1e-11; to 1e-13", "test_song17.py"
    ),
    "batch_backprop": Evidence("autograd, any depth and activation", "to 1e-10", TRANSPORT),
    "feedback_alignment": Evidence(
        "B = W is backprop; angle to it falls from 90°", "to 1e-10; 94° to 17°, 200 batches", TRANSPORT
    ),
    "direct_feedback_alignment": Evidence(
        "B = W is backprop, one hidden layer; angle falls", "to 1e-10; 85° to 24°, 200 batches", TRANSPORT
    ),
    "sign_symmetry": Evidence("share of signs; concordance 0 is alignment", "within .02; to 1e-10", TRANSPORT),
    "kolen_pollack": Evidence("W - B falls as (1 - decay)^t", "to 1e-10", TRANSPORT),
    "weight_mirror": Evidence("cos(B, W) > .99, 10⁴ noises, linear", "≥ .9987; the authors' loop to 1e-10", TRANSPORT),
    "burstprop": Evidence(
        "small errors: the gradient's direction; R takes the rest away: gradient",
        "cos ≥ .9999 (sigmoid, Y = W), to 1e-10",
        DENDRITES,
    ),
    "segregated_dendrites": Evidence("Y = W, one hidden layer: sign of the error, cos > .95", "cos .9995", DENDRITES),
    "agrel": Evidence("mean over answers: gradient of cross-entropy", "to 1e-10", TRANSPORT),
    "batch_q_agrel": Evidence(
        "gradient of (r - q_s)² / 2; MNIST level with backprop",
        "to 1e-10; 95.4 to 96.1 %, backprop 95.4 to 96.4",
        TRANSPORT,
    ),
    "reinforce": Evidence("mean over answers: gradient of E[R], any baseline", "to 1e-10", TRANSPORT),
    "batch_node_perturbation": Evidence("learns nodes + 2 times slower (4 nodes: 6)", "6.3 times", PERTURBATION),
    "weight_perturbation": Evidence(
        "cosine √(n / (n + N + 1)); learns N + 2 times slower (26)",
        ".345 (.337), .752 (.750); 27.3 times",
        PERTURBATION,
    ),
    "augment": Evidence(
        "tags gain dq_a / dw; 99.45 % of networks, median 4,100 trials",
        "to 1e-10; 99.8 %, 3,988, if who fails the check learns on",
        "test_augment.py",
    ),
    "backprop": Evidence("gradient of the cross-entropy", "see the test", "test_decision_life.py"),
    "evolved_formula": Evidence(
        "Oja's rule is written again", "3 of 10 runs of 500 generations", "test_formula_rediscovery.py"
    ),
    "predictive_coding": Evidence(
        "fixed predictions and Z-IL are backprop; relaxed nears it with V_K",
        "to 1e-10; cos .845 at V_K = 1, .9999 at 1,000",
        "test_relaxation.py",
    ),
    "equilibrium_propagation": Evidence(
        "error as beta, symmetric as beta²", "within the slopes' .2", "test_relaxation.py"
    ),
    "dendritic_microcircuit": Evidence(
        "self-predicting: apical 0 without a teacher; B = W: gradient as currents weaken",
        "to 1e-10; error as a s, within the slope's .2",
        DENDRITES,
    ),
    "contrastive_hebbian": Evidence("error to backprop as gamma", "within the slope's .2", "test_relaxation.py"),
    "force": Evidence("ridge regression; four sines by itself, nMSE ≤ .02", "to 1e-10; 8 of 8 networks", "test_rls.py"),
    "full_force": Evidence("W r = F follows the teacher; nMSE ≤ .02", "to 1e-12; 8 of 8 networks", "test_rls.py"),
    "full_force_spiking": Evidence(
        "a step by hand; nMSE ≤ .1", "to 1e-12; 6 of 6 networks", "test_full_force_spiking.py"
    ),
    "innate": Evidence("comes back to its trajectory", "less than .45 of the deviation, 3 of 3", "test_rls.py"),
}
"""kind -> what was measured"""

PAGES = {
    **dict.fromkeys(("gradient/bptt", "gradient/rtrl", "feedback/rflo", "feedback/eprop"), "recurrent.md"),
    "feedback/augment": "augment.md",
    "feedback": "feedback.md",
    "relaxation": "relaxation.md",
    "rls": "rls.md",
    "rules": "formula.md",
    "plastic": "formula.md",
}
"""where a rule's file is -> the page that tells of it"""
HEAD = ("rule", "equation, or what it does", "a synapse reads", "genes", "source", "should, and did here", "file")


class Row(NamedTuple):
    """A line of the table."""

    kind: str
    equation: str
    locality: str
    genes: str
    source: str
    evidence: str
    file: str


def rows() -> list[Row]:
    """One a rule, in the order of the library; every rule is its published self."""
    return [_row(kind, cls) for kind, cls in RULES.items()]


def markdown() -> str:
    """The page `docs/rules/README.md`."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD))]
    for row in rows():
        page = next((page for place, page in PAGES.items() if row.file.startswith(f"inner_loop/{place}")), None)
        first = f"[`{row.kind}`]({page})" if page else f"`{row.kind}`"
        equation = (
            "<br>".join(f"`{part}`" for part in row.equation.split("\n")) if _is_formula(row.kind) else row.equation
        )
        lines.append(_line([first, equation, row.locality, row.genes, row.source, row.evidence, f"`{row.file}`"]))
    return _PAGE.format(table="\n".join(lines))


def table() -> Table:
    """For the terminal."""
    shown = Table("rule", "equation, or what it does", "a synapse reads", "source", box=None, pad_edge=False)
    for row in rows():
        shown.add_row(row.kind, row.equation, row.locality, row.source)
    return shown


def _row(kind: str, cls: type[Rule]) -> Row:
    text = (cls.__doc__ or "").split("\n")[0]
    reads = "stated in its file"
    if _is_formula(kind):
        program = cls.model_validate({"kind": kind}).program()  # pyright: ignore[reportAttributeAccessIssue]
        text, reads = plain(program), ", ".join(sorted(locality(program))) or "nothing"
    found = EVIDENCE.get(kind)
    evidence = f"{found.law}: {found.reached} ([test](../../tests/inner_loop/{found.test}))" if found else ""
    file = Path(*cls.__module__.split(".")[1:]).with_suffix(".py").as_posix()
    return Row(kind, text, reads, ", ".join(genes(cls)), source(cls), evidence, file)


def _is_formula(kind: str) -> bool:
    """Whether its default states a formula (of `formula` the user does, of `evolved_formula` evolution)."""
    cls = RULES[kind]
    return issubclass(cls, LocalRule) and not issubclass(cls, FormulaRule) and cls.worth_compiling


def genes(cls: type[Rule]) -> list[str]:
    """The fields that hold numbers which may be genes, without those that all formula rules share."""
    shared = LocalRule.model_fields if issubclass(cls, LocalRule) else {}
    return [name for name, field in cls.model_fields.items() if name not in shared and _evolves(field)]


def source(cls: type[Rule]) -> str:
    """Author and year of the first reference."""
    first = cls.references[0] if cls.references else ""
    year = re.search(r"^.*?\d{4}", first)
    return year[0] if year else first


def _evolves(field: FieldInfo) -> bool:
    return any(isinstance(note, Evolves) for note in field.metadata) or _holds_genes(field.annotation)


def _holds_genes(annotation: Any) -> bool:
    """Whether somewhere inside the annotation there is a number that may be a gene."""
    if any(isinstance(note, Evolves) for note in getattr(annotation, "__metadata__", ())):
        return True
    if hasattr(annotation, "model_fields"):
        return any(_evolves(field) for field in annotation.model_fields.values())
    return any(_holds_genes(part) for part in get_args(annotation))


def _line(cells: Any) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


_PAGE = """# Rules

Every rule of `rule: {{kind: …}}`, made from the code by `metaplastic rules --markdown`; a test holds this page equal.

j is the presynaptic and i the postsynaptic neuron: x_j, y_i their activities, v_i the net input, c_j the bias, δ the
reward prediction error, R̄ the expected reward, ξ_i injected noise, s 0 in the first steps of a trial and then 1, f_i
what feedback connections carry down. What a synapse reads is read off the formula: `pre`, `post`, `weight` are its own;
`synapse_state` is a memory of its own; `global_scalar` one number for the whole brain; `feedback_vec` a number for each
neuron; `nonlocal` other neurons' activities and weights. All formula rules also have `weight_limit`, `weight_decay` and
`dale`, which may be genes, and `normalise`. Genes may be one a brain, a connection group, a pair of cell types, a
neuron or a synapse, as `metaplastic describe RULE` says.

{table}
"""

"""What a formula rule is, once parsed: expressions over the signals of one synapse.

A rule is `update`, the change of w, and `traces`, memories that the update may read.  At every step, in this order:

    1. each trace, in the order given, becomes its expression; it reads the traces before it as they are now and
       itself and the traces after it as they were
    2. writes = step: w <- transform(w + update)

and with writes = trial, once at the trial's end, w <- transform(w + update), in which the scalars (reward, rpe …) are
those of the trial. `transform` (decay, bounds; mostly w itself) reads the new weight as w; absent synapses stay 0; then
the weights are normalised, if the rule says so.

Traces are 0 at birth and are cleared at the start of each trial unless the rule says otherwise. Where a trace lives
(one a brain, one a pre- or postsynaptic neuron, one a synapse) follows from what it reads.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import sympy

Place = Literal["scalar", "pre", "post", "synapse"]
Norm = Literal["none", "max", "row"]

SIGNALS_EXPLAINED: dict[str, tuple[Place, str]] = {
    "pre": ("pre", "activity of the presynaptic neuron (recurrent: at the previous step)"),
    "post": ("post", "activity of the postsynaptic neuron"),
    "potential": ("post", "its net input (feedforward) or membrane variable x (rate network)"),
    "gate": ("post", "its activation's derivative, phi'(potential)"),
    "noise": ("post", "perturbation that was injected into it at this step"),
    "feedback": ("post", "signal from the chosen answer, carried down by the feedback connections, times gate"),
    "chance": ("post", "softmax of the outputs: how likely this answer seemed (0 at neurons that answer nothing)"),
    "drive": ("post", "what the objective asks of this neuron: minus the derivative of its local costs"),
    "w": ("synapse", "the weight"),
    "constant": ("pre", "1 for the neuron that is always 1 (the bias), 0 for the others"),
    "reconstruction": ("pre", "sum over all postsynaptic neurons k of post_k w_kj: what they tell of this input"),
    "explained": ("synapse", "the same sum over k <= i: what this neuron and those before it tell of this input"),
    "reward": ("scalar", "reward of the decision or trial (the objective's mixture)"),
    "prediction": ("scalar", "the reward that was expected"),
    "rpe": ("scalar", "reward - prediction"),
    "settled": ("scalar", "0 in the first steps of a trial (the rule's `settle`), then 1"),
}
"""Every signal a formula may read, where it lives, and what it means."""

DERIVED = ("reconstruction", "explained")
"""signals that follow from w and post of the whole connection group, so that no network has to give them"""

SIGNALS: dict[str, Place] = {name: place for name, (place, _) in SIGNALS_EXPLAINED.items()}
"""name -> where it lives"""


class Trace(NamedTuple):
    """A memory: its name, its next value and where it lives."""

    name: str
    value: sympy.Expr
    place: Place


class Program(NamedTuple):
    """A parsed, analysed rule; hashable, so that compiled kernels can be kept by it."""

    update: sympy.Expr
    traces: tuple[Trace, ...]
    writes: Literal["step", "trial"]
    parameters: tuple[str, ...]
    """names of its coefficients, sorted"""
    reads: frozenset[str]
    """signals it reads, of SIGNALS"""
    transform: sympy.Expr = sympy.Symbol("w")
    """what w + update, called w, becomes; reads parameters only besides"""
    normalise: Norm = "none"
    """max: then divide a connection group by its largest |w|; row: each neuron's weights by their Euclidean length"""

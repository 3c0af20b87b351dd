"""Rules of layered networks that learn from a minibatch of S decisions at a time; each brain has its own weights.

    W_k <- mask (W_k + dW_k),   dW_k the mean of the S decisions' changes                                    (1)

A `consolidation` makes of dW_k the change that is made (`consolidation/base.py`).

Feedback transport, perturbation and relaxation are such rules: what they do cannot be stated by a formula of what one
synapse sees. `inner_loop/layered_life.py` lives them. A rule is one class with `change` and, if it keeps something of
its own (feedback weights, expectations), `start`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, NamedTuple

from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic.core import Choice, Objective, Rule, Task
from metaplastic.inner_loop.consolidation.library import SLOT, wants_likelihood
from metaplastic.inner_loop.networks.layers import Layer, Layers
from metaplastic.inner_loop.objectives import AnswerCost, Cost, terms_of

State = dict[str, Tensor]
"""what a rule keeps besides the weights, [P, L, …] each"""


class Lesson(NamedTuple):
    """A minibatch as a brain lived it."""

    x: Float[Tensor, "#P L S I"]
    layers: tuple[Layer, ...]
    """`rule.answered` of it, before this change"""
    target: Float[Tensor, "#P L S A"]
    """1 at the best answer, 0 elsewhere"""
    payoff: Float[Tensor, "#P L S A"]
    """the reward that each answer would get"""
    action: Int[Tensor, "P L S"]
    reward: Float[Tensor, "P L S"]
    prediction: Float[Tensor, "P L S"]
    """what the critic expected"""
    top_error: Float[Tensor, "P L S A"] | None
    """d cost / d output of the objective's costs of the answer, for each decision; None: it has none"""
    numbers: dict[str, Float[Tensor, "P 1 1 1"]]
    """the rule's own numbers"""
    key: Int[Tensor, " L"]
    """of this minibatch in each lifetime: all its chance"""
    trial: int
    """number of its first decision"""

    @property
    def output(self) -> Float[Tensor, "P L S A"]:
        """The action values."""
        return self.layers[-1].post


class LayeredRule(Rule):
    """A rule of feedforward networks, eq. (1)."""

    networks: ClassVar[tuple[str, ...]] = ("feedforward",)
    follows_error: ClassVar[bool] = False
    """it needs an objective with an error of the output (`cross_entropy`, `squared_error`)"""
    batch: Annotated[int, Field(ge=1, le=10_000)] = 1
    """S, decisions between two writes"""
    consolidation: Annotated[Any, SLOT] | None = None
    """what protects old knowledge: `ewc`, `si` or `benna_fusi`; absent: nothing"""

    def misfit(self, objective: Objective, task: Task) -> str:
        """An objective without an error to follow, or with costs of hidden neurons; a minibatch longer than a life."""
        errors = (AnswerCost, Choice)  # a choice may be one
        if self.follows_error and not any(isinstance(term, errors) for term in terms_of(objective)):
            return (
                f"rule {self.kind} follows the error of the answer, and objective {objective.kind} has none; "
                "use objective: {kind: cross_entropy} or {kind: squared_error}"
            )
        if wants_likelihood(self.consolidation) and not any(isinstance(term, errors) for term in terms_of(objective)):
            return (
                f"consolidation ewc needs answers with a likelihood, and objective {objective.kind} has none; "
                "use objective: {kind: cross_entropy} or {kind: squared_error}, or consolidation: {kind: si, ...}"
            )
        unheard = sorted(term.kind for term in terms_of(objective) if isinstance(term, Cost))
        if unheard:
            return f"objective has {', '.join(unheard)}, which rule {self.kind} is not told of; leave it out"
        if task.trials and self.batch > task.trials:
            return f"rule.batch is {self.batch}, and a life has {task.trials} trials of learning"
        return ""

    def start(self, net: Layers, key: Int[Tensor, " L"]) -> State:  # noqa: ARG002
        """What it keeps, at birth; `key` is K(INIT) of each lifetime, folded for the rule."""
        return {}

    def answered(
        self,
        net: Layers,
        x: Float[Tensor, "#P L S I"],
        numbers: dict[str, Float[Tensor, "P 1 1 1"]],  # noqa: ARG002
    ) -> tuple[Layer, ...]:
        """What the networks do with a minibatch: they act by it and are tested by it. One pass without feedback."""
        return net.forward(x)

    @abstractmethod
    def change(self, net: Layers, state: State, lesson: Lesson) -> tuple[tuple[Tensor, ...], State]:
        """The changes that are added to the weights, [P, L, post, pre] each, and its state after."""

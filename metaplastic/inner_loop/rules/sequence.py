"""Rules of recurrent networks that run whole trials themselves, with a target at every step (`TrialBatch.y`).

Gradients through time, traces with a learning signal a neuron, and recursive least squares are such rules: within a
trial they need the error of each step, and some write at once. `inner_loop/sequence_life.py` lives them. A rule is one
class with `born` and `trial`; `told` is for those that learn from the judgement.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, NamedTuple

from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic.core import Network, Objective, Rule, Task, TaskSpec

State = dict[str, Tensor]
"""weights and all else that lasts from trial to trial, [P, L, …] each"""


class Trials(NamedTuple):
    """S trials that a brain lives at once, time first; what a life sees does not depend on the individual."""

    x: Float[Tensor, "T L S I"]
    """observations; 0 after a trial's end"""
    y: Float[Tensor, "T L S A"]
    """target outputs"""
    w: Float[Tensor, "T L S"]
    """weight of each step in the judgement; 0 where nothing is judged"""
    epoch: Int[Tensor, "T L S"]
    """index into the task's epochs"""
    length: Int[Tensor, "L S"]
    """steps of each trial"""


class Lived(NamedTuple):
    """What came of a minibatch of trials."""

    output: Float[Tensor, "T P L S A"]
    state: State
    """after the trial"""
    seen: dict[str, Tensor]
    """what can be recorded of it, [T, P, L, S, …]"""


class SequenceRule(Rule):
    """A rule that runs whole trials."""

    networks: ClassVar[tuple[str, ...]] = ()
    batch: Annotated[int, Field(ge=1, le=10_000)] = 1
    """S, trials that are lived at once with the same weights: one minibatch"""

    def misfit(self, objective: Objective, task: Task) -> str:  # noqa: ARG002
        """Minibatches that do not divide the life."""
        if task.trials % self.batch:
            return (
                f"rule.batch is {self.batch}, which does not divide the {task.trials} trials of learning of {task.kind}"
            )
        return ""

    @abstractmethod
    def born(self, network: Network, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """All lives at birth; `key` is K(INIT) of each lifetime, `like` has their dtype and device."""

    @abstractmethod
    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """S trials from beginning to end; the state that came in is not written to.

        `key` is K(NOISE) of each lifetime, folded with `number`, which is that of the first trial; `learns` is False
        in the test, where S may be another number than `batch`.
        """

    def told(
        self,
        state: State,
        reward: Float[Tensor, "P L S"],  # noqa: ARG002
        prediction: Float[Tensor, "P L S"],  # noqa: ARG002
    ) -> State:
        """What the judgement changes."""
        return state

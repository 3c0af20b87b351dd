"""Rules that run whole trials and descend an estimate of a loss's gradient; they differ in the estimate alone.

    L = sum_t w_t l(z_t, z*_t), the mean of the S streams                                                    (1)
    squared         l = 1/2 |z - z*|^2                       dl/dz = z - z*                                  (2)
    cross_entropy   l = -log softmax(z)_{z*}                 dl/dz = softmax(z) - z*                         (3)
    W <- mask (W - eta step(g)),   step: g itself (sgd), or Adam's (`optimisers.py`)                         (4)

w_t are the task's weights of the steps, divided by their sum in a trial (`weighing: mean`) or as they are (`sum`). The
estimate g comes once a minibatch, from what a network of fixed weights did.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.core import ConfigError, Network, Number, Objective, Task, TaskSpec
from metaplastic.fields import Evolves, Option, Options
from metaplastic.inner_loop.consolidation.base import PREFIX, Written
from metaplastic.inner_loop.consolidation.library import SLOT, wants_likelihood
from metaplastic.inner_loop.gradient.fisher import sampled_error
from metaplastic.inner_loop.gradient.optimisers import Adam, clipped
from metaplastic.inner_loop.networks.recurrent import GROUPS, Recurrent, brain_number
from metaplastic.inner_loop.rules.sequence import Lived, SequenceRule, State, Trials

Gradients = dict[str, Tensor]
"""connection group -> estimate of dL/dW, [P, L, post, pre]"""


class Descent(SequenceRule):
    """Descends its estimate of the gradient of (1)."""

    groups: ClassVar[tuple[str, ...]] = GROUPS
    """what it changes; those of the network first"""
    has_likelihood: ClassVar[bool] = True
    """(2) and (3) are minus the log-likelihood of what its outputs should be"""
    optimiser: Annotated[Option, Options("sgd", "adam")] = "sgd"
    """how the gradient moves the weights, (4)"""
    eta: Annotated[Number, Evolves(0, per=("brain", "connection", "post", "pre", "synapse"))] = 0.03
    """learning rate; the groups are input, recurrent and readout"""
    loss: Annotated[Option, Options("squared", "cross_entropy")] = "squared"
    """(2) or (3)"""
    weighing: Annotated[Option, Options("mean", "sum")] = "mean"
    """mean: the weights of a trial's steps sum to 1"""
    clip: Annotated[Number, Evolves(0, above=True)] | None = None
    """largest norm of a brain's gradient; absent: none"""
    consolidation: Annotated[Any, SLOT] | None = None
    """what protects old knowledge: `ewc`, `si` or `benna_fusi`; absent: nothing"""

    def misfit(self, objective: Objective, task: Task) -> str:
        """As any rule of whole trials; Fisher information where nothing tells it."""
        whole = getattr(self, "writes", "trial") == "trial" and self.has_likelihood
        if wants_likelihood(self.consolidation) and not whole:
            return (
                f"consolidation ewc needs Fisher information, which rule {self.kind} has only where it follows a "
                "target and writes once a trial; use consolidation: {kind: si, ...}"
            )
        return super().misfit(objective, task)

    def born(self, network: Network, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """The network, the learning rates of its groups and, if there are such, the optimiser's moments.

        Raises:
            ConfigError: for a network of another kind.
        """
        if not isinstance(network, Recurrent) or network.kind not in (self.networks or (network.kind,)):
            raise ConfigError(
                f"rule {self.kind} learns in {' or '.join(self.networks)}, and the network is {network.kind}"
            )
        state = network.born(spec, individuals, key, like)  # pyright: ignore[reportAttributeAccessIssue]
        layout = network.layout(spec)
        for index, name in enumerate(GROUPS):
            shape = state[name].shape
            rate = layout.expand(self.eta, index, like)[:, None, : shape[2], : shape[3]]
            state[f"eta.{name}"] = rate.expand(individuals, len(key), -1, -1)
        state |= self.more(network, spec, state, key)
        if self.optimiser == "adam":
            count = sum(state[name][0, 0].numel() for name in self.groups)
            state |= {f"adam.{which}": like.new_zeros(individuals, len(key), count) for which in _Moments._fields}
            state["adam.count"] = like.new_zeros(individuals, len(key))
        if self.consolidation is not None:
            state |= self.consolidation.start({name: state[name] for name in self.groups})
        return state

    def more(self, network: Recurrent, spec: TaskSpec, state: State, key: Int[Tensor, " L"]) -> State:  # noqa: ARG002
        """What the rule keeps besides, at birth."""
        return {}

    @abstractmethod
    def gradients(self, network: Any, state: State, tape: Any, error: Float[Tensor, "T P L S A"]) -> Gradients:
        """The estimate, from what the network did and the derivative of the loss by each output."""

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """Run, and descend."""
        del number
        tape = network.run(state, trials.x)  # pyright: ignore[reportAttributeAccessIssue]
        if learns:
            error = output_error(tape.output, trials, str(self.loss), str(self.weighing))
            gradients = self.gradients(network, state, tape, error)
            if self.consolidation is not None and self.consolidation.listens(state):
                state = self.consolidation.heard(self.fisher(network, state, tape, trials, key), state)
            state = self.descended(state, gradients)
        return Lived(tape.output, state, {"rates": tape.rates})

    def fisher(self, network: Any, state: State, tape: Any, trials: Trials, key: Int[Tensor, " L"]) -> Gradients:
        """A draw whose mean is the Fisher information, `fisher.py` (2); costs of activity have no part in it."""
        error = sampled_error(tape.output, step_weights(trials.w, str(self.weighing)), str(self.loss), key)
        drawn, none = (self.gradients(network, state, tape, e) for e in (error, torch.zeros_like(error)))
        streams = error.shape[3]
        return {n: streams * (drawn[n] - none[n]).square() * state[f"mask.{n}"] for n in self.groups}

    def descended(self, state: State, gradients: Gradients) -> State:
        """Equation (4)."""
        moved, rest = self.steps(state, gradients)
        return state | rest | {name: state[name] + moved[name] for name in moved}

    def steps(self, state: State, gradients: Gradients) -> tuple[Gradients, State]:
        """What (4) adds to the weights, and the optimiser's moments after."""
        whole = [gradients[name] * state[f"mask.{name}"] for name in self.groups]
        lives = whole[0].shape[:2]
        flat = torch.cat([part.flatten(2) for part in whole], -1).flatten(0, 1)
        if self.clip is not None:
            flat = clipped(flat, brain_number(self.clip, flat)[:, None].expand(lives).reshape(-1))
        unit, rest = (-flat, {}) if self.optimiser == "sgd" else adam_step(state, flat)
        parts = unit.unflatten(0, lives).split([part[0, 0].numel() for part in whole], -1)
        moved = {
            name: part.unflatten(-1, block.shape[2:]) * state[f"eta.{name}"]
            for name, part, block in zip(self.groups, parts, whole, strict=True)
        }
        if self.consolidation is None:
            return moved, rest
        before, rates = ({n: state[place + n] for n in self.groups} for place in ("", "eta."))
        found = dict(zip(self.groups, whole, strict=True))
        moved, kept = self.consolidation.write(Written(before, moved, found, rates), state)
        return moved, {name: value for name, value in kept.items() if name.startswith(PREFIX)} | rest


class Still(Descent):
    """Nothing is learned: what the rule `fixed` is in the networks of these rules."""

    kind: Literal["still"] = "still"

    def gradients(self, network: Any, state: State, tape: Any, error: Float[Tensor, "T P L S A"]) -> Gradients:
        """None."""
        del network, tape, error
        return {name: torch.zeros_like(state[name]) for name in self.groups}

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """Run."""
        del learns
        return super().trial(network, state, trials, key, number, learns=False)


class _Moments(NamedTuple):
    first: Tensor
    second: Tensor


def adam_step(state: State, gradient: Float[Tensor, "B n"]) -> tuple[Float[Tensor, "B n"], State]:
    """Adam's step at rate 1, and its moments after; those in `state` are not written to."""
    adam = Adam(gradient)
    moments = _Moments(*(state[f"adam.{which}"].reshape(gradient.shape).clone() for which in _Moments._fields))
    adam.first, adam.second = moments
    adam.count = int(state["adam.count"].flatten()[0])
    step = torch.zeros_like(gradient)
    adam.step(step, gradient, gradient.new_ones(len(gradient)))
    shape = state["adam.first"].shape
    after = {f"adam.{which}": moment.reshape(shape) for which, moment in zip(_Moments._fields, moments, strict=True)}
    return step, after | {"adam.count": state["adam.count"] + 1}


def output_error(
    output: Float[Tensor, "T P L S A"], trials: Trials, loss: str, weighing: str
) -> Float[Tensor, "T P L S A"]:
    """w_t dl/dz_t of (1), not yet averaged over the streams."""
    return error_by_output(output, trials.y, step_weights(trials.w, weighing), loss)


def error_by_output(
    output: Float[Tensor, "T P L S A"], y: Float[Tensor, "T L S A"], share: Float[Tensor, "T L S"], loss: str
) -> Float[Tensor, "T P L S A"]:
    """share_t dl/dz_t."""
    answer = torch.softmax(output, -1) if loss == "cross_entropy" else output
    return share[:, None, ..., None] * (answer - y[:, None])


def losses(output: Float[Tensor, "T P L S A"], trials: Trials, loss: str, weighing: str) -> Float[Tensor, "P L S"]:
    """(1) of each stream."""
    target = trials.y[:, None]
    if loss == "cross_entropy":
        each = -(torch.log_softmax(output, -1) * target).sum(-1)
    else:
        each = 0.5 * (output - target).square().sum(-1)
    return (step_weights(trials.w, weighing)[:, None] * each).sum(0)


def step_weights(w: Float[Tensor, "T L S"], weighing: str) -> Float[Tensor, "T L S"]:
    """How much each step counts in (1)."""
    return w / w.sum(0).clamp(min=1e-12) if weighing == "mean" else w

"""Whole trials in PyTorch: the reference for the kernels, and the only differentiable form.

    x <- x + a (-x + W r + W_in u + xi);  r = phi(x);  the rule's step                 for each step          (1)

If a rule reads the judgement, its last step of a trial waits for it (`finish`): the scalars reward, prediction and
rpe are 0 until then and those of the trial in it. Between two writes of the weights a rule whose eligibilities are sums
of outer products touches nothing of their size (`factorise`): its factors are kept for all steps and multiplied once.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.formula.factorise import Factors, accumulate, factorise
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.trial_plan import SCALARS, Last, Synapses, Trial, TrialPlan, fixed_current, shown


class Noise(NamedTuple):
    """What a trial draws: the same for every individual, each of whom scales it."""

    start: Float[Tensor, "L N"]
    """U(-1, 1)"""
    coin: Float[Tensor, "T L N"]
    """U(0, 1): a neuron is perturbed if it is below its rate"""
    size: Float[Tensor, "T L N"]
    """U(-1, 1)"""
    white: Float[Tensor, "T L N"] | None
    """N(0, 1)"""


def run_trial(
    plan: TrialPlan,
    synapses: Synapses,
    x: Float[Tensor, "T L I"],
    trial: int,
    plastic: bool = True,
    perturbed: bool = True,
    keep_rates: bool = False,
    factorised: bool = True,
) -> Trial:
    """One trial of all lives, up to the judgement; `factorised=False` runs every trace step by step."""
    factors = factorise(plan.form.program, plan.form.places) if factorised else None
    memory = Memory(plan, synapses, factors or ())
    inputs, noise = shown(plan, x), draw_noise(plan, trial, len(x))
    fixed = fixed_current(plan, inputs)
    potential = clamped(plan, (plan.brains.start[:, None, None] * noise.start).expand(*synapses.w.shape[:3]))
    rates = activity(plan, potential)
    last = Last(rates, rates, potential, potential)
    output, kept = [], []
    for step in range(len(x)):
        pre = torch.cat([inputs[step].expand(len(rates), -1, -1), rates], -1) if plan.brains.plastic_inputs else rates
        xi = injected(plan, noise, step, perturbed)
        potential = advance(plan, memory.w, potential, pre, fixed[step], xi)
        rates = activity(plan, potential)
        last = Last(pre, rates, potential, xi)
        if plastic and (step < len(x) - 1 or not plan.form.waits):
            memory.step(signals(plan, last, step))
        output.append(read_out(plan, rates))
        if keep_rates:
            kept.append(rates)
    return Trial(memory.synapses(), last, torch.stack(output), torch.stack(kept) if keep_rates else None)


def finish(
    plan: TrialPlan, trial: Trial, steps: int, reward: Float[Tensor, "P L"], prediction: Float[Tensor, "P L"]
) -> Synapses:
    """The synapses after the judgement: the rule's last step of a trial, if it waited, and its update."""
    if not plan.form.waits:
        return trial.synapses
    told = zip(SCALARS, (reward, prediction, reward - prediction), strict=True)
    scalars = {name: value[..., None, None] for name, value in told}
    program, known = plan.form.program, signals(plan, trial.last, steps - 1) | scalars
    parameters = {name: value[:, None] for name, value in plan.parameters.items()}
    w, traces = to_torch.step(program, parameters, *trial.synapses, known, plan.brains.mask)
    return Synapses(to_torch.trial_end(program, parameters, w, traces, known, plan.brains.mask), traces)


class Memory:
    """Weights and traces on their way through a trial; synaptic traces that factorise are multiplied out at its end."""

    def __init__(self, plan: TrialPlan, synapses: Synapses, factors: tuple[Factors, ...]) -> None:
        self.w = synapses.w
        self.traces = synapses.traces or to_torch.start(plan.form.program, synapses.w)
        self._program, self._mask = plan.form.program, plan.brains.mask
        self._parameters = {name: value[:, None] for name, value in plan.parameters.items()}
        self._factors = {one.trace: one for one in factors}
        self._history: dict[str, list[tuple[Tensor, Tensor]]] = {one.trace: [] for one in factors}

    def step(self, known: dict[str, Tensor]) -> None:
        """One step of the rule."""
        if not self._factors:
            self.w, self.traces = to_torch.step(self._program, self._parameters, self.w, self.traces, known, self._mask)
            return
        known = {**self._parameters, **known, **self.traces}
        for name, value, _ in self._program.traces:
            if name in self._factors:
                self._history[name].append(self._products(self._factors[name], known))
            else:
                known[name] = to_torch.torch_function(value)(known)
        self.traces = {name: known[name] for name in self.traces}

    def synapses(self) -> Synapses:
        """Weights and traces now."""
        traces = {**self.traces, **{name: self._multiplied(name) for name in self._factors}}
        return Synapses(self.w, traces)

    def _products(self, factors: Factors, known: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The post- and presynaptic parts of this step, [B, K, post] and [B, K, pre]."""
        individuals, lifetimes, post, pre = self.w.shape
        sides = []
        for side, shape in ((0, (post, 1)), (1, (1, pre))):
            parts = [to_torch.torch_function(term[side])(known) for term in factors.terms]
            whole = torch.stack([part.expand(individuals, lifetimes, *shape) for part in parts], 2)
            sides.append(whole.reshape(individuals * lifetimes, len(parts), max(shape)))
        return sides[0], sides[1]

    def _multiplied(self, name: str) -> Float[Tensor, "P L N M"]:
        history, start = self._history[name], self.traces[name]
        if not history:
            return start
        decay = to_torch.torch_function(self._factors[name].decay)({**self._parameters, "": self.w})
        lives = start.shape[0] * start.shape[1]
        each = decay.expand(*start.shape[:2], 1, 1).reshape(lives)
        post, pre = (torch.stack(side) for side in zip(*history, strict=True))
        if lives == 1:  # a product of one matrix is rounded otherwise than the same in a batch
            total = accumulate(post.expand(-1, 2, -1, -1), pre.expand(-1, 2, -1, -1), each.expand(2))[:1]
        else:
            total = accumulate(post, pre, each)
        return total.reshape(start.shape) + start * decay ** len(history)


def advance(
    plan: TrialPlan,
    w: Float[Tensor, "P L N M"],
    potential: Float[Tensor, "P L N"],
    pre: Float[Tensor, "P L M"],
    fixed: Float[Tensor, "L N"],
    noise: Float[Tensor, "P L N"],
) -> Float[Tensor, "P L N"]:
    """x after a step of (1); `fixed` is the input through weights that stay as they are."""
    brains = plan.brains
    current = (w * pre[:, :, None]).sum(-1) + brains.input_gain[:, None, None] * fixed + noise
    return clamped(plan, potential + brains.leak[:, None] * (current - potential))


def clamped(plan: TrialPlan, potential: Float[Tensor, "P L N"]) -> Float[Tensor, "P L N"]:
    """With the tonic neurons at their level."""
    if not plan.form.clamped:
        return potential
    index, level = zip(*plan.form.clamped, strict=True)
    where = torch.tensor(index, device=potential.device)
    levels = potential.new_tensor(level).expand(*potential.shape[:2], -1)
    return potential.index_copy(2, where, levels)


def activity(plan: TrialPlan, potential: Float[Tensor, "P L N"]) -> Float[Tensor, "P L N"]:
    """r = phi(x), 0 where there is no neuron."""
    rates = ACTIVATIONS[plan.form.activation].function(potential)
    return rates if plan.brains.mask is None else rates * plan.brains.active()[:, None].to(rates)


def signals(plan: TrialPlan, last: Last, step: int) -> dict[str, Tensor]:
    """What a synapse may read at a step, shapes as `to_torch` wants them; the judgement is still 0."""
    gate = ACTIVATIONS[plan.form.activation].derivative(last.potential, last.post)
    zero = gate.new_zeros(*gate.shape[:2], 1, 1)
    return {
        "pre": last.pre[:, :, None],
        "post": last.post[..., None],
        "potential": last.potential[..., None],
        "noise": last.noise[..., None],
        "gate": gate[..., None],
        "settled": zero + float(step >= plan.form.settle),
        **dict.fromkeys(SCALARS, zero),
    }


def read_out(plan: TrialPlan, rates: Float[Tensor, "P L N"]) -> Float[Tensor, "P L A"]:
    """The network's answer."""
    if plan.brains.readout is None:
        return rates[..., : plan.brains.outputs]
    return (plan.brains.readout * rates[:, :, None]).sum(-1)


def draw_noise(plan: TrialPlan, trial: int, steps: int) -> Noise:
    """All that a trial draws: word i of key fold(fold(K(NOISE), trial), step) is neuron i's; step 0 is the start."""
    key, size, like = rng.fold(plan.noise, trial), plan.brains.size, plan.brains.leak
    keys = rng.fold(key, torch.arange(1, steps + 1, device=key.device)[:, None])
    words = rng.words(keys, size)
    sizes = 2 * (words & 0xFFFFFF).to(like) * 2.0**-24 - 1
    start = 2 * rng.uniforms(rng.fold(key, 0), size).to(like) - 1
    return Noise(start, rng.uniform(words).to(like), sizes, draw_white(plan, keys))


def draw_white(plan: TrialPlan, keys: Int[Tensor, "T L"]) -> Float[Tensor, "T L N"] | None:
    """Normal numbers of each step, if any individual has white noise."""
    if not plan.brains.is_noisy:
        return None
    return rng.normals(rng.fold(keys, 0), plan.brains.size).to(plan.brains.leak)


def injected(plan: TrialPlan, noise: Noise, step: int, perturbed: bool) -> Float[Tensor, "P L N"]:
    """xi of a step: perturbations, if there are to be any, and white noise."""
    brains = plan.brains
    xi = noise.start.new_zeros(len(brains.units), *noise.start.shape)
    if perturbed and step >= plan.form.undisturbed:
        hit = noise.coin[step] < brains.perturbation_rate[:, None, None]
        xi = torch.where(hit, brains.perturbation[:, None, None] * noise.size[step], xi)
    return xi if noise.white is None else xi + brains.white[:, None] * noise.white[step]

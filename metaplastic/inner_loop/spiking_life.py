"""Formula rules in networks of spiking neurons: STDP and all that a synapse can see of spikes, step by step.

    b <- rho b + z;   v <- alpha v + s (W_in x + W z) - theta z;   d = (v - theta - beta b) / theta
    z <- 1 if d > 0 and not refractory;   y <- kappa y + (1 - kappa) W_out z                                       (1)
    the rule's step in each group of synapses, all from the weights of before it                                   (2)

(1) is `networks/spiking.py` with weights that change within a trial. `pre` and `post` are spikes (input: the
observation; read-out: post is y), `potential` is v, `gate` the surrogate slope psi. As in rate networks the rule's last
step waits for the judgement, if it reads it or writes then. All three groups are plastic; a coefficient of 0 for one
(`eta: {values: [0, 0.01, 0], per: connection}`) leaves it alone. `kernels/spiking_rule_kernel.py` is the same, fused.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from metaplastic.core import ConfigError, Network, TaskSpec
from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.formula.program import Program
from metaplastic.inner_loop.kernels.hoist import change_of, is_finite
from metaplastic.inner_loop.networks.recurrent import GROUPS
from metaplastic.inner_loop.networks.spiking import SpikingRNN
from metaplastic.inner_loop.rules.local import LocalRule
from metaplastic.inner_loop.rules.sequence import Lived, SequenceRule, State, Trials
from metaplastic.inner_loop.trial_plan import SCALARS

NUMBERS = ("alpha", "rho", "beta", "theta", "drive", "refractory", "dampening")
"""of each neuron, [P, L, N]"""
KEPT = ("pre", "post", "potential", "gate", "settled", "constant")
"""signals of the last step, for a rule that waits"""


class Neurons(NamedTuple):
    """What neurons are between two steps."""

    potential: Float[Tensor, "P L N"]
    adaptation: Float[Tensor, "P L N"]
    rest: Float[Tensor, "P L N"]
    """steps until the next spike is possible"""
    spikes: Float[Tensor, "P L N"]
    output: Float[Tensor, "P L A"]


class Run(NamedTuple):
    """What came of a trial."""

    output: Float[Tensor, "T P L A"]
    spikes: Float[Tensor, "T P L N"]
    weights: dict[str, Tensor]
    traces: dict[str, dict[str, Tensor]]
    last: dict[str, dict[str, Tensor]]
    """signals of each group at the last step, if the rule waits"""


class FormulaTrials(SequenceRule):
    """A local rule as a rule of whole trials of spiking networks; made by `lifetime.live`, not in files."""

    networks: ClassVar[tuple[str, ...]] = ("spiking_rnn",)
    kind: Literal["formula_trials"] = "formula_trials"
    batch: Annotated[int, Field(ge=1, le=1)] = 1
    """trials come one by one: weights change within them"""
    rule: Any
    """the local rule"""
    fused: bool = False
    """the kernel runs the trials"""

    def born(self, network: Network, spec: TaskSpec, individuals: int, key: Int[Tensor, " L"], like: Tensor) -> State:
        """The network, and the rule's coefficients in each group (`of.eta.recurrent` …)."""
        assert isinstance(network, SpikingRNN)
        state = network.born(spec, individuals, key, like)
        layout, values = network.layout(spec), self.rule.parameter_values()
        for index, group in enumerate(GROUPS):
            post, pre = state[group].shape[2:]
            for name in self.rule.program().parameters:
                state[f"of.{name}.{group}"] = layout.expand(values[name], index, like)[:, None, :post, :pre]
        return state

    def trial(
        self, network: Network, state: State, trials: Trials, key: Int[Tensor, " L"], number: int, learns: bool
    ) -> Lived:
        """One trial; what waits for the judgement is kept in the state (`last.…`)."""
        del key
        assert isinstance(network, SpikingRNN)
        plastic = learns and number >= self.rule.quiet_trials and self.rule.program().update != 0
        traces = {group: self._traces(state, group) for group in GROUPS}
        seen = network.shown(trials.x)[:, :, 0]
        if self.fused:
            from metaplastic.inner_loop.kernels.spiking_rule_kernel import run_fused as running
        else:
            running = run_plastic
        run = running(state, traces, seen, self.rule, network.bias, plastic)
        after = state | run.weights
        for group in GROUPS:
            after |= {f"trace.{name}.{group}": value for name, value in run.traces[group].items()}
            after |= {f"last.{name}.{group}": value for name, value in run.last.get(group, {}).items()}
        return Lived(run.output[..., None, :], after if plastic else state, {"rates": run.spikes[..., None, :]})

    def told(self, state: State, reward: Float[Tensor, "P L S"], prediction: Float[Tensor, "P L S"]) -> State:
        """The rule's last step of a trial and its update, if they waited."""
        if "last.pre.recurrent" not in state or not waits(self.rule.program()):
            return state
        told = zip(SCALARS, (reward, prediction, reward - prediction), strict=True)
        scalars = {name: value[..., None] for name, value in told}
        after, program = dict(state), self.rule.program()
        for group in GROUPS:
            known = scalars | {name: state[f"last.{name}.{group}"] for name in KEPT}
            traces = {trace.name: state[f"trace.{trace.name}.{group}"] for trace in program.traces}
            given, mask = coefficients(state, program, group), state[f"mask.{group}"]
            w, traces = to_torch.step(program, given, state[group], traces, known, mask)
            after[group] = to_torch.trial_end(program, given, w, traces, known, mask)
            after |= {f"trace.{name}.{group}": value for name, value in traces.items()}
        return {name: value for name, value in after.items() if not name.startswith("last.")}

    def _traces(self, state: State, group: str) -> dict[str, Tensor]:
        """The traces at a trial's start: as they were, if they live on, else 0."""
        names = [f"trace.{trace.name}.{group}" for trace in self.rule.program().traces]
        if self.rule.keeps_traces and all(name in state for name in names):
            return {trace.name: state[name] for trace, name in zip(self.rule.program().traces, names, strict=True)}
        return to_torch.start(self.rule.program(), state[group])


def waits(program: Program) -> bool:
    """The rule's last step of a trial comes after the judgement."""
    return program.writes == "trial" or not program.reads.isdisjoint(SCALARS)


def backend_for(rule: LocalRule, backend: str, device: str | torch.device, dtype: torch.dtype) -> str:
    """numba where the kernel can do it, else torch.

    Raises:
        ConfigError: if the backend that was asked for cannot do it.
    """
    program = rule.program()
    why_not = ""
    if dtype != torch.float32 or torch.device(device).type != "cpu":
        why_not = f"it is for float32 on the CPU, and this is {dtype} on {device}"
    elif not is_finite(change_of(program, {}, keeps_traces=True)):
        why_not = "the formula has no finite value where traces are 0"
    if backend == "triton" or (backend == "numba" and why_not):
        raise ConfigError(f"backend is {backend!r}, in spiking networks {why_not or 'there is no such'}; use auto")
    wanted = backend == "numba" or (backend == "auto" and rule.worth_compiling)
    return "numba" if wanted and not why_not else "torch"


def coefficients(state: State, program: Program, group: str) -> dict[str, Tensor]:
    """The rule's coefficients in a group."""
    return {name: state[f"of.{name}.{group}"] for name in program.parameters}


def run_plastic(
    state: State,
    traces: dict[str, dict[str, Tensor]],
    seen: Float[Tensor, "T L I"],
    rule: LocalRule,
    bias: bool,
    plastic: bool,
) -> Run:
    """(1) and (2) for a trial, in PyTorch."""
    program = rule.program()
    weights, traces = {group: state[group] for group in GROUPS}, dict(traces)
    n, out = weights["recurrent"].shape[:3], weights["readout"].shape[:3]
    zero = weights["recurrent"].new_zeros(n)
    neurons = Neurons(zero, zero, zero, zero, weights["recurrent"].new_zeros(out))
    outputs, spikes, last = [], [], {}
    for step, x in enumerate(seen):
        before = neurons
        neurons, slope = stepped(state, weights, neurons, x)
        if plastic:
            settled = zero.new_full((1, 1, 1, 1), float(step >= rule.settle))
            signals = signals_of(before, neurons, slope, x, bias, settled)
            if step < len(seen) - 1 or not waits(program):
                for group in GROUPS:
                    given, mask = coefficients(state, program, group), state[f"mask.{group}"]
                    weights[group], traces[group] = to_torch.step(
                        program, given, weights[group], traces[group], signals[group], mask
                    )
            else:
                last = {group: {n: v for n, v in signals[group].items() if n not in SCALARS} for group in GROUPS}
        outputs.append(neurons.output)
        spikes.append(neurons.spikes)
    return Run(torch.stack(outputs), torch.stack(spikes), weights, traces, last)


def stepped(
    state: State, weights: dict[str, Tensor], old: Neurons, x: Float[Tensor, "L I"]
) -> tuple[Neurons, Float[Tensor, "P L N"]]:
    """(1): the neurons after a step, and psi."""
    alpha, rho, beta, theta, drive, refractory, dampening = (state[name] for name in NUMBERS)
    adaptation = rho * old.adaptation + old.spikes
    current = (weights["input"] * x[None, :, None]).sum(-1) + (weights["recurrent"] * old.spikes[:, :, None]).sum(-1)
    potential = alpha * old.potential + drive * current - theta * old.spikes
    distance = potential / theta - 1 - beta / theta * adaptation
    free = (old.rest <= 0).to(potential)
    spikes = (distance > 0).to(potential) * free
    rest = (old.rest + refractory * spikes - 1).clamp(min=0)
    slope = (1 - distance.abs()).clamp(min=0) * (dampening / theta) * free
    kappa = state["kappa"]
    output = kappa * old.output + (1 - kappa) * (weights["readout"] * spikes[:, :, None]).sum(-1)
    return Neurons(potential, adaptation, rest, spikes, output), slope


def signals_of(
    old: Neurons, new: Neurons, slope: Float[Tensor, "P L N"], x: Float[Tensor, "L I"], bias: bool, settled: Tensor
) -> dict[str, dict[str, Tensor]]:
    """What a synapse of each group may read; the judgement is still 0."""
    x = x[None].expand(len(slope), -1, -1)
    post = {"post": new.spikes, "potential": new.potential, "gate": slope}
    answer = {"post": new.output, "potential": new.output, "gate": torch.ones_like(new.output)}
    found = {}
    for group, pre, own in (("input", x, post), ("recurrent", old.spikes, post), ("readout", new.spikes, answer)):
        signals = {name: value[..., None] for name, value in own.items()}
        signals |= {"pre": pre[:, :, None], "settled": settled, **dict.fromkeys(SCALARS, torch.zeros_like(settled))}
        constant = torch.zeros_like(signals["pre"])
        constant[..., : int(bias and group == "input")] = 1
        found[group] = signals | {"constant": constant}
    return found

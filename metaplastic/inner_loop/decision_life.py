"""Lives of one-step decisions in PyTorch: the reference for every kernel, and the only differentiable one.

Each trial n of a life, all individuals and lifetimes at once:

    y_k = phi(W_k y_{k-1});  q = W_K y_{K-1}                     the answer of the network                   (1)
    action = policy(q, two uniform numbers);  r = payoff[action]                                             (2)
    rpe = R - prediction                                         R: the objective's reward, critics.py       (3)
    feedback at the output: 1{k = action}                        or onehot(best) - softmax(q)                (4)
    feedback_k = phi'(a_k) * (F_{k+1}^T feedback_{k+1})          F: the weights themselves, or their own     (5)
    W_k <- W_k + update(pre = y_{k-1}, post = y_k, ...)          all from the weights of before this trial   (6)

Pozzi, Bohté & Roelfsema 2018 (the action's answer sent down, a global reward prediction error). Test trials have the
greedy policy and no plasticity. A decision from outputs that are not finite has no score (NaN): a failed life.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.core import Record
from metaplastic.inner_loop.critics import picked
from metaplastic.inner_loop.decision_plan import BLOCKS, Plan
from metaplastic.inner_loop.formula import to_torch
from metaplastic.inner_loop.networks.activation import ACTIVATIONS
from metaplastic.inner_loop.policies import greedy
from metaplastic.inner_loop.recording import Tape

LEARNED = "learned_weights"
"""weights as they are after learning; every backend can tell"""
RECORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "observation": (("trial", "lifetime", "input"), ""),
    "action": (("trial", "individual", "lifetime"), ""),
    "reward": (("trial", "individual", "lifetime"), "reward"),
    "prediction": (("trial", "individual", "lifetime"), "reward"),
    "rpe": (("trial", "individual", "lifetime"), "reward"),
    "q": (("trial", "individual", "lifetime", "action"), "reward"),
    "hidden": (("trial", "individual", "lifetime", "layer", "neuron"), ""),
    "feedback": (("trial", "individual", "lifetime", "layer", "neuron"), ""),
    "weights": (("trial", "individual", "lifetime", "post", "pre"), ""),
    LEARNED: (("individual", "lifetime", "post", "pre"), ""),
}
"""what can be recorded -> (dimensions, unit); of weights there is one for each connection group: weights.hidden …"""


class Layer(NamedTuple):
    """What one layer did in a trial."""

    pre: Float[Tensor, "P L pre"]
    potential: Float[Tensor, "P L post"]
    post: Float[Tensor, "P L post"]
    gate: Float[Tensor, "P L post"]


class Brain(NamedTuple):
    """The state of all lives between two trials; one entry a connection group, but `means`."""

    weights: tuple[Float[Tensor, "P L post pre"], ...]
    carriers: tuple[Float[Tensor, "P L post units"], ...]
    """feedback weights of each group but the first; empty if the weights themselves carry the feedback"""
    traces: tuple[dict[str, Tensor], ...]
    expected: Float[Tensor, "P L kinds"]
    means: tuple[tuple[Float[Tensor, "P L N"], ...], ...]
    """for each cost, the mean activity in each hidden layer"""


class Outcome(NamedTuple):
    """What came of a trial's decision."""

    action: Int[Tensor, "P L"]
    payoff: Float[Tensor, "P L"]
    reward: Float[Tensor, "P L"]
    prediction: Float[Tensor, "P L"]
    rpe: Float[Tensor, "P L"]


def live_decisions(plan: Plan, record: tuple[str, ...] = ()) -> Record:
    """All lives of a plan; `record` names what to keep (RECORDS), in all trials, those of the test too."""
    tape = Tape(record, RECORDS)
    brain = born(plan)
    payoffs, scores, active = [], [], []
    for trial in range(len(plan.coins)):
        layers = forward(plan, brain.weights, plan.decisions.observation[trial])
        learns = trial < plan.trials
        outcome = decide(plan, brain, layers[-1].post, trial, learns)
        _note(tape, plan, brain, layers, outcome, trial)
        if learns:
            brain = learn(plan, brain, layers, outcome, trial)
        else:
            active.append(_activity(plan, layers))
        payoffs.append(outcome.payoff)
        score = picked(plan.score[trial].expand_as(layers[-1].post), outcome.action)
        scores.append(torch.where(layers[-1].post.isfinite().all(-1), score, torch.nan))
    recordings = tape.recordings()
    if LEARNED in tape.every:
        recordings |= by_group(plan, LEARNED, brain.weights)
    return summary(plan, torch.stack(payoffs), torch.stack(scores), active)._replace(recordings=recordings)


def by_group(plan: Plan, name: str, weights: Iterable[Tensor]) -> dict[str, Tensor]:
    """The weights of each connection group under the recording's name: weights.hidden …"""
    named = zip(plan.brains.layout.connections, weights, strict=True)
    return {f"{name}.{group.name}": w for group, w in named}


def born(plan: Plan) -> Brain:
    """The state at birth."""
    brains, lives = plan.brains, (len(plan.brains.units), plan.coins.shape[1])
    masks = [brains.mask(index) for index in range(len(brains.sizes))]
    whole = [birth.weights(mask).expand(*lives, -1, -1) for birth, mask in zip(brains.weights, masks, strict=True)]
    first = int(plan.form.bias)
    carriers = zip(brains.feedback, masks[1:], strict=False)
    hidden = [whole[0].new_zeros(*lives, post) for post, _ in brains.sizes[:-1]]
    return Brain(
        weights=tuple(whole),
        carriers=tuple(birth.weights(mask[..., first:]).expand(*lives, -1, -1) for birth, mask in carriers),
        traces=tuple(to_torch.start(plan.form.program, w) for w in whole),
        expected=whole[0].new_zeros(*lives, plan.trial_types),
        means=tuple(tuple(hidden) for _ in plan.costs),
    )


def forward(plan: Plan, weights: tuple[Tensor, ...], observation: Float[Tensor, "L I"]) -> list[Layer]:
    """The answer of the networks, (1); neurons that are missing stay silent."""
    activation = ACTIVATIONS[plan.form.activation]
    layers: list[Layer] = []
    post = observation.expand(weights[0].shape[0], *observation.shape)
    for index, w in enumerate(weights):
        pre = torch.nn.functional.pad(post, (1, 0), value=1.0) if plan.form.bias else post
        potential = (w * pre[:, :, None]).sum(-1)
        post, gate = potential, torch.ones_like(potential)
        if index < plan.form.layers:
            exists = plan.brains.mask(index)[:, None, :, 0].to(w)
            post = activation.function(potential) * exists
            gate = activation.derivative(potential, post) * exists
        layers.append(Layer(pre, potential, post, gate))
    return layers


def decide(plan: Plan, brain: Brain, q: Float[Tensor, "P L A"], trial: int, learns: bool) -> Outcome:
    """Action and reward, (2) and (3)."""
    u0, u1 = plan.coins[trial].unbind(-1)
    explore = {name: value[:, None] for name, value in plan.policy.items()}
    action = plan.form.policy.choose(q, u0, u1, explore) if learns else greedy(q)
    payoff = picked(plan.decisions.payoff[trial].expand_as(q), action)
    reward = plan.reward_weight[:, None] * payoff
    kind = plan.decisions.kind[trial].expand_as(action)
    prediction = plan.form.critic.predict(q, action, picked(brain.expected, kind))
    return Outcome(action, payoff, reward, prediction, reward - prediction)


def learn(plan: Plan, brain: Brain, layers: list[Layer], outcome: Outcome, trial: int) -> Brain:
    """The state after a trial's plasticity, (4) to (6)."""
    brain = _expect(plan, _average(plan, brain, layers), outcome, trial)
    feedback = send_down(plan, brain, layers, teach(plan, layers[-1].post, outcome.action, trial))
    groups = []
    for index, layer in enumerate(layers):
        signals = _signals(plan, brain, layer, outcome, index) | {"feedback": feedback[index][..., None]}
        groups.append(_write(plan, brain, signals, index))
    weights, carriers, traces = zip(*groups, strict=True)
    if trial < plan.quiet_trials:
        return brain._replace(traces=traces)
    carriers = carriers[1:] if plan.form.feedback == "learned" else brain.carriers
    return brain._replace(weights=weights, carriers=carriers, traces=traces)


def teach(plan: Plan, q: Float[Tensor, "P L A"], action: Int[Tensor, "P L"], trial: int) -> Float[Tensor, "P L A"]:
    """What enters the feedback connections at the output, (4)."""
    if plan.form.teacher == "chosen":
        return torch.zeros_like(q).scatter(-1, action[..., None], 1.0)
    best = plan.decisions.payoff[trial].argmax(-1).expand_as(action)
    return torch.zeros_like(q).scatter(-1, best[..., None], 1.0) - torch.softmax(q, -1)


def send_down(
    plan: Plan, brain: Brain, layers: list[Layer], top: Float[Tensor, "P L A"]
) -> list[Float[Tensor, "P L post"]]:
    """The feedback at every layer, input side first, (5)."""
    signals = [top]
    for index in range(len(layers) - 1, 0, -1):
        w = brain.weights[index][..., int(plan.form.bias) :]
        carrier = w if not brain.carriers else brain.carriers[index - 1]
        signals.insert(0, layers[index - 1].gate * (carrier * signals[0][..., None]).sum(-2))
    return signals


def summary(
    plan: Plan, payoff: Float[Tensor, "T P L"], score: Float[Tensor, "T P L"], active: list[Float[Tensor, "P L"]]
) -> Record:
    """The record of all trials' payoffs and scores; no test: the score is that of learning."""
    learning, test = slice(0, plan.trials), slice(plan.trials, None)
    counts = torch.bincount(plan.blocks, minlength=min(BLOCKS, plan.trials)).tolist()
    curve = [block.mean(0) for block in score[learning].split(counts)]
    last = test if plan.trials < len(score) else learning
    best = plan.decisions.best[learning, None]
    metrics = {
        "test_reward": payoff[last].mean(0),
        "learning_reward": payoff[learning].mean(0),
        "regret": (best - payoff[learning]).sum(0),
        "activity": torch.stack(active).mean(0) if active else torch.zeros_like(score[0]),
    }
    return Record(score[last].mean(0), torch.stack(curve, -1), metrics, {})


def _write(
    plan: Plan, brain: Brain, signals: dict[str, Tensor], index: int
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """One connection group after (6): its weights, its learned feedback weights (if it has) and its traces."""
    program, w = plan.form.program, brain.weights[index]
    mask = plan.brains.mask(index)[:, None].to(w)
    parameters = {name: value[:, None] for name, value in plan.parameters[index].items()}
    traces = brain.traces[index] if plan.form.keeps_traces else to_torch.start(program, w)
    # a decision is a trial of one step, so a rule that writes at the trial's end writes now as well
    _, traces = to_torch.step(program._replace(writes="trial"), parameters, w, traces, signals)
    known = to_torch.derived(program, {**parameters, **signals, **traces, "w": w})
    written = to_torch.changed(program, known, mask)
    if index == 0 or plan.form.feedback != "learned":
        return written, w, traces
    first = int(plan.form.bias)
    update = to_torch.torch_function(program.update)(known).expand_as(w)[..., first:]
    own = {name: value[..., first:] if value.shape[-1] > 1 else value for name, value in parameters.items()}
    carrier = to_torch.torch_function(program.transform)({**own, "w": brain.carriers[index - 1] + update})
    return written, carrier * mask[..., first:], traces


def _signals(plan: Plan, brain: Brain, layer: Layer, outcome: Outcome, index: int) -> dict[str, Tensor]:
    """What a synapse of connection group `index` may read, but the feedback."""
    scalars = {"reward": outcome.reward, "prediction": outcome.prediction, "rpe": outcome.rpe}
    signals = {name: value[..., None, None] for name, value in scalars.items()}
    signals["pre"] = layer.pre[:, :, None]
    signals["constant"] = torch.zeros_like(signals["pre"])
    signals["constant"][..., : int(plan.form.bias)] = 1
    signals |= {name: getattr(layer, name)[..., None] for name in ("post", "potential", "gate")}
    drive = torch.zeros_like(layer.post)
    chance = torch.softmax(layer.post, -1) if index == plan.form.layers else drive
    if index < plan.form.layers:
        for cost, given, means in zip(plan.form.costs, plan.costs, brain.means, strict=True):
            named = {name: value[:, None, None] for name, value in given.items()}
            drive = drive + cost.drive(layer.post, means[index], named)
    return signals | {"drive": drive[..., None], "chance": chance[..., None]}


def _average(plan: Plan, brain: Brain, layers: list[Layer]) -> Brain:
    """Running means of activity, before they are used."""
    means = tuple(
        tuple(m + given["rate"][:, None, None] * (layer.post - m) for m, layer in zip(old, layers, strict=False))
        if cost.remembers
        else old
        for cost, given, old in zip(plan.form.costs, plan.costs, brain.means, strict=True)
    )
    return brain._replace(means=means)


def _expect(plan: Plan, brain: Brain, outcome: Outcome, trial: int) -> Brain:
    """The critic's running average of reward, after it was used."""
    if not plan.form.critic.remembers:
        return brain
    kind = plan.decisions.kind[trial].expand_as(outcome.action)[..., None]
    decay = plan.critic["decay"][:, None, None]
    new = decay * brain.expected.gather(-1, kind) + (1 - decay) * outcome.reward[..., None]
    return brain._replace(expected=brain.expected.scatter(-1, kind, new))


def _activity(plan: Plan, layers: list[Layer]) -> Float[Tensor, "P L"]:
    """Mean activity of the hidden neurons that exist (no hidden layer: 0)."""
    total = sum((layer.post.sum(-1) for layer in layers[:-1]), torch.zeros_like(layers[-1].post[..., 0]))
    return total / (plan.brains.units[:, None] * max(1, plan.form.layers))


def side_by_side(layers: list[Tensor]) -> Float[Tensor, "P L layers N"]:
    """[P, L, N] of each hidden layer as one; the last of `layers` is the output, and left out."""
    hidden = layers[:-1]
    return torch.stack(hidden, 2) if hidden else layers[-1].new_zeros(*layers[-1].shape[:2], 0, 0)


def _note(tape: Tape, plan: Plan, brain: Brain, layers: list[Layer], outcome: Outcome, trial: int) -> None:
    """Keep what was asked for of this trial; weights as they were in it."""
    top = teach(plan, layers[-1].post, outcome.action, trial)
    found = {
        "observation": lambda: plan.decisions.observation[trial],
        "q": lambda: layers[-1].post,
        "hidden": lambda: side_by_side([layer.post for layer in layers]),
        "feedback": lambda: side_by_side(send_down(plan, brain, layers, top)),
        **{name: lambda name=name: getattr(outcome, name) for name in Outcome._fields},
    }
    for name, value in found.items():
        if tape.wants(name, trial):
            tape.keep(name, value())
    if tape.wants("weights", trial):
        for name, w in by_group(plan, "weights", brain.weights).items():
            tape.keep(name, w)

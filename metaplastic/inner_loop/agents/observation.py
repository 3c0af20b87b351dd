"""What can be seen of agents with fixed weights: actions, values, the dopamine signal, states, the task's variables.

    delta_t = r_{t+1} + gamma V_{t+1} - V_t,   as arrays  delta[t] = R[t] + gamma V[t + 1] - V[t]            (1)

R[t] is the reward that A[t] caused, V[t] the value after the network has heard what it was told at t; V is 0 after an
episode's end. So the error at a cue's onset is delta at the step before the cue, the error at an outcome delta at the
response. Wang et al. 2018. All arrays are [step, individual, lifetime, ...]; `recording.py` saves and loads them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.core import Task
from metaplastic.inner_loop.agents.agent import Agents
from metaplastic.inner_loop.agents.episodes import Episodes
from metaplastic.inner_loop.agents.rollout import Actor, Hook, Lived
from metaplastic.inner_loop.recording import Labelled, requests

LANE = ("step", "individual", "lifetime")
AGENT_RECORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "observation": ((*LANE, "input"), ""),
    "action": (LANE, ""),
    "reward": (LANE, "reward"),
    "logits": ((*LANE, "action"), ""),
    "policy": ((*LANE, "action"), ""),
    "entropy": (LANE, "nat"),
    "value": (LANE, "reward"),
    "channels": ((*LANE, "channel"), "reward"),
    "rpe": (LANE, "reward"),
    "hidden": ((*LANE, "unit"), ""),
    "cell": ((*LANE, "unit"), ""),
    "trial": (LANE, ""),
    "trial_end": (LANE, ""),
    "score": (LANE, ""),
    "alive": (LANE, ""),
}
"""what can be recorded of agents -> (dimensions, unit); `hidden` of two networks: the critic, then the actor"""

MOST_NUMBERS = 16
"""of one hidden variable of a task; larger ones (maps, pictures) are not kept"""


def record(
    agents: Agents,
    task: Task,
    lifetime: Int[Tensor, "P_or_1 L"],
    key: Int[Tensor, ""],
    discount: float | Float[Tensor, " P"],
    names: tuple[str, ...] = tuple(AGENT_RECORDS),
    *,
    hook: Hook | None = None,
    forget: bool = False,
) -> dict[str, Labelled]:
    """Episodes number `lifetime` of agents whose weights stay as they are (asserted), with what is hidden in the task.

    Beside `names` there is `latent.<path>` for every variable of the task's state at the step, before the action.
    `hook` lesions or stimulates (`interventions.py`), `forget` resets the state at every trial.

    Raises:
        ValueError: for a name that is not known.
    """
    names = tuple(requests(names, AGENT_RECORDS))
    before = agents.checksum()
    rate = torch.as_tensor(discount).to(agents.weights).expand(len(agents.weights))
    latent: dict[str, list[Tensor]] = {}
    lane = len(agents.weights), lifetime.shape[1]

    def see(step: int, world: Episodes) -> None:  # noqa: ARG001  (the signature of a watcher)
        for path, value in named_leaves(world.state):
            if value.shape[:2] == lane and value[0, 0].numel() <= MOST_NUMBERS:
                latent.setdefault(path, []).append(value.clone())

    actor = Actor(agents, task, lifetime, key, rate, stepped=True, hook=hook, see=see, forget=forget)
    lived = actor.run(actor.world.steps)
    assert agents.checksum() == before, "weights changed in a recording"
    found = observe(agents, lived, rate, names)
    for path, rows in latent.items():
        data = torch.stack(rows)
        found[f"latent.{path}"] = Labelled(data.flatten(3) if data.ndim > 4 else data, _axes(data.ndim), "")
    return found


def observe(agents: Agents, lived: Lived, discount: Float[Tensor, " P"], names: tuple[str, ...]) -> dict[str, Labelled]:
    """What was asked for of a life, by name, with its axes and unit."""
    core = agents.cores[0]
    first, end = core.told["observation"]
    made: dict[str, Callable[[], Tensor]] = {
        "observation": lambda: lived.tapes[0].z[..., first:end].transpose(0, 1),
        "action": lambda: lived.action,
        "reward": lambda: lived.reward,
        "logits": lambda: lived.logits,
        "policy": lambda: torch.softmax(lived.logits, -1),
        "entropy": lambda: torch.distributions.Categorical(logits=lived.logits).entropy(),
        "value": lambda: lived.value.mean(-1),
        "channels": lambda: lived.value,
        "rpe": lambda: prediction_error(lived, discount),
        "hidden": lambda: torch.cat([tape.hidden[:, 1:] for tape in lived.tapes], -1).transpose(0, 1),
        "cell": lambda: torch.cat([tape.cell[:, 1:] for tape in lived.tapes], -1).transpose(0, 1),
        "trial": lambda: lived.trial,
        "trial_end": lambda: lived.trial_end.to(torch.uint8),
        "score": lambda: lived.score,
        "alive": lambda: lived.alive.to(torch.uint8),
    }
    return {name: Labelled(made[name]().contiguous(), *AGENT_RECORDS[name]) for name in names}


def prediction_error(lived: Lived, discount: Float[Tensor, " P"]) -> Float[Tensor, "T P L"]:
    """Equation (1); 0 where an episode is over."""
    value = lived.value.mean(-1) * lived.alive
    after = torch.zeros_like(value[0]) if lived.after is None else lived.after.mean(-1)
    coming = torch.cat((value[1:], after[None]))
    return (lived.reward + discount[:, None] * coming - value) * lived.alive


def named_leaves(state: Any, above: str = "") -> list[tuple[str, Tensor]]:
    """(path, tensor) of every tensor of nested tuples; NamedTuples give names, other tuples numbers."""
    if isinstance(state, Tensor):
        return [(above, state)]
    if state is None:
        return []
    names = getattr(state, "_fields", range(len(state)))
    pairs = zip(names, state, strict=True)
    return [leaf for name, part in pairs for leaf in named_leaves(part, f"{above}.{name}" if above else str(name))]


def _axes(count: int) -> tuple[str, ...]:
    return (*LANE, "number")[:count] if count <= 4 else (*LANE, "number")

"""The laboratory: train a population of agents, one a seed; freeze them; record; lesion; reset; forget the reward.

Seeds differ in birth and in every training episode; test episodes are the same for all, and none was trained on. What
was trained is kept in the study's folder (`<name>.safetensors`), so that analyses can be done again without training.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from safetensors.torch import load_file, save_file
from torch import Tensor

from metaplastic import rng
from metaplastic.core import Task
from metaplastic.inner_loop.agents.agent import Agents, born
from metaplastic.inner_loop.agents.interventions import Intervention, Interventions
from metaplastic.inner_loop.agents.observation import AGENT_RECORDS, record
from metaplastic.inner_loop.agents.training import History, Update, train
from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import Gated
from metaplastic.inner_loop.objectives import Reward
from metaplastic.inner_loop.recording import Labelled, save
from metaplastic.platform.progress import duration
from metaplastic.studies.study import Run

EVERY = 10.0
"""seconds between two lines of progress"""
TESTED = 0x7E57
"""the stream of test episodes below the run's key"""

COMPILED_FROM = 500
"""updates from which on compiling the task's step pays"""

Arrays = dict[str, Shaped[np.ndarray, "T P L *rest"]]
"""recordings by name, as numpy arrays [step, seed, episode, ...]"""


@dataclass(frozen=True)
class Trained:
    """A population of trained agents, one a seed, and what they were trained on."""

    agents: Agents
    network: Gated
    rule: A2C
    task: Task
    history: History
    key: Int[Tensor, ""]
    births: int = 0
    """number of the first seed, as `train_population` was given it"""
    on_the_way: Mapping[int, Float[Tensor, "P N"]] = field(default_factory=dict)
    """weights after so many updates, where `train_population` was asked to keep them"""

    @property
    def discount(self) -> float:
        """gamma of the training, which delta is computed with."""
        return float(self.rule.discount)  # pyright: ignore[reportArgumentType]

    def untrained(self) -> Trained:
        """The same agents at birth: a control."""
        return replace(self, agents=_born(self.network, self.task, len(self.agents.weights), self.key, self.births))

    def after(self, updates: int) -> Trained:
        """The same agents as they were after so many updates, one of `on_the_way`."""
        return replace(self, agents=self.agents._replace(weights=self.on_the_way[updates]))

    def record(
        self,
        episodes: int,
        names: tuple[str, ...] = tuple(AGENT_RECORDS),
        *,
        task: Task | None = None,
        changes: tuple[Intervention, ...] = (),
        forget: bool = False,
        first: int = 0,
    ) -> Arrays:
        """Test episodes [first, first + episodes) of every seed, weights fixed; arrays [step, seed, episode, ...].

        `task` is another task of the same observations and actions; `changes` are made while they live
        (`interventions.py`); with `forget` the state starts anew at every trial. Beside `names` there is
        `latent.<path>` for every variable of the task's state.
        """
        hook = Interventions(changes) if changes else None
        lanes = torch.arange(first, first + episodes)[None]
        key = rng.fold(self.key, TESTED)
        found = record(self.agents, task or self.task, lanes, key, self.discount, names, hook=hook, forget=forget)
        return {name: one.data.numpy() for name, one in found.items()}


def train_population(
    run: Run, name: str, network: Gated, rule: A2C, task: Task, *, births: int = 0, keep: Sequence[float] = ()
) -> Trained:
    """One agent a seed of the run, trained on its own episodes; progress is said, weights are kept as `<name>`.

    `births` shifts the numbers of the seeds, for populations that must not share births. `keep`: fractions of the
    training after which the weights are kept too (`on_the_way`).
    """
    key = rng.root(run.seed)
    streams = torch.arange(births, births + run.seeds)
    agents = _born(network, task, run.seeds, key, births)
    updates = {"quick": max(1, rule.updates // 20)}.get(run.scale, rule.updates)
    rule = rule.model_copy(update={"updates": updates})
    wanted = {round(fraction * updates) for fraction in keep}
    kept = {0: agents.weights} if 0 in wanted else {}
    say = _teller(run, name, updates)

    def told(update: Update) -> None:
        say(update)
        if update.number + 1 in wanted:
            kept[update.number + 1] = update.weights.clone()

    compiled = updates >= COMPILED_FROM
    trained, history = train(agents, rule, Reward(), task, key, streams=streams, told=told, compiled=compiled)
    saved = {"weights": trained.weights, **{f"after_{number}": weights for number, weights in kept.items()}}
    save_file({each: weights.contiguous() for each, weights in saved.items()}, run.out / f"{name}.safetensors")
    return Trained(trained, network, rule, task, history, key, births, kept)


def load_weights(trained: Trained, file: Path) -> Trained:
    """The population with the weights that `train_population` kept in a file."""
    saved = load_file(file)
    kept = {int(name.removeprefix("after_")): weights for name, weights in saved.items() if name != "weights"}
    return replace(trained, agents=trained.agents._replace(weights=saved["weights"]), on_the_way=kept)


def reward_blind(network: Gated) -> Gated:
    """The network without the reward as an input: the control that cannot learn within an episode."""
    return network.model_copy(update={"reward_input": False})


def save_recording(arrays: Arrays, stem: Path, *, table: bool = False) -> None:
    """Keep a recording as `<stem>.safetensors` and `<stem>.json`; with `table` also as `<stem>.csv`.

    The table is tidy: one row a step of an episode of a seed, one column a number (`hidden.3`), for people who analyse
    elsewhere.
    """
    save(stem, to_labelled(arrays))
    if not table:
        return
    steps, seeds, episodes = arrays["action"].shape
    places = np.indices((steps, seeds, episodes)).reshape(3, -1)
    columns: dict[str, np.ndarray] = dict(zip(("step", "seed", "episode"), places, strict=True))
    for name, array in arrays.items():
        flat = array.reshape(steps * seeds * episodes, -1)
        names = [name] if flat.shape[1] == 1 else [f"{name}.{number}" for number in range(flat.shape[1])]
        columns |= dict(zip(names, flat.T, strict=True))
    with Path(f"{stem}.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(columns)
        rows.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def to_labelled(arrays: Arrays) -> dict[str, Labelled]:
    """Recordings as `inner_loop/recording.py` saves them."""
    found = {}
    for name, array in arrays.items():
        axes, unit = AGENT_RECORDS.get(name, (("step", "individual", "lifetime", "number")[: array.ndim], ""))
        found[name] = Labelled(torch.from_numpy(array), axes, unit)
    return found


def per_seed(values: Float[np.ndarray, "T P L"], where: Float[np.ndarray, "T P L"] | None = None) -> list[float]:
    """Mean of each seed over steps and episodes, where the mask holds."""
    if where is None:
        return [float(values[:, seed].mean()) for seed in range(values.shape[1])]
    return [float(values[:, seed][where[:, seed].astype(bool)].mean()) for seed in range(values.shape[1])]


def _born(network: Gated, task: Task, seeds: int, key: Tensor, births: int) -> Agents:
    return born(network, task, seeds, rng.fold(rng.fold(key, rng.INIT), torch.arange(births, births + seeds)))


def _teller(run: Run, name: str, updates: int) -> Callable[[Update], None]:
    """Says how a training goes, every few seconds."""
    began = time.monotonic()
    last = [began]

    def tell(update: Update) -> None:
        now = time.monotonic()
        if now - last[0] < EVERY and update.number + 1 < updates:
            return
        last[0] = now
        left = (now - began) / (update.number + 1) * (updates - update.number - 1)
        score, reward = update.score.mean().item(), update.reward.mean().item()
        run.say(
            f"{name}: update {update.number + 1}/{updates}  score {score:.3f}  reward a step {reward:.3f}  "
            f"value explains {update.explained.mean().item():.2f}  left {duration(left)}"
        )

    return tell

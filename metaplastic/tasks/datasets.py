"""Trials for supervised training, as torch's datasets: batch k holds lifetimes [k B, (k + 1) B), whoever asks for it.

    for batch in TrialDataset("PerceptualDecisionMaking-v0", batch=32, batches=1000, seed=1):
        loss = (batch.w[..., None] * (network(batch.x) - batch.y) ** 2).mean()

Batches are functions of (task, seed, k) alone: they can be indexed, taken by any number of `DataLoader` workers
(`DataLoader(dataset, batch_size=None, num_workers=4)`), and a `state_dict` taken anywhere continues with the next one.
Without `steps`, a batch is trial 0 of every lifetime; with it, trials 0, 1, ... of a lifetime follow one another
without gaps until there are `steps` frames, and the last trial is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from metaplastic.core import near_miss
from metaplastic.tasks.base import TensorTask
from metaplastic.tasks.registry import make

STYLES = ("trials", "neurogym", "psychrnn")


class Trials(NamedTuple):
    """Frames of B lifetimes, time first."""

    x: Float[Tensor, "T B I"]
    """observations"""
    y: Float[Tensor, "T B A"]
    """targets: one-hot actions, or outputs"""
    w: Float[Tensor, "T B"]
    """weight of each step in the judgement; 0 after a trial's end"""
    trial: Int[Tensor, "T B"]
    """number of the trial that the frame is of; -1 where there is none"""
    kind: Int[Tensor, "T B"]
    """trial type of that trial; -1 where there is none"""


class TrialDataset(Dataset[Any]):
    """`batches` batches of a task's trials."""

    def __init__(
        self,
        task: str | TensorTask,
        batch: int = 32,
        batches: int = 1000,
        *,
        steps: int | None = None,
        seed: int = 0,
        style: str = "trials",
        device: torch.device | str = "cpu",
        **settings: Any,
    ) -> None:
        """A dataset of `batches` batches of `batch` lifetimes.

        Args:
            task: a task, or an id and its `settings` (`preset=...`, `dt=...`).
            batch: lifetimes of a batch.
            batches: length of the dataset.
            steps: frames of a sequence of trials; None: one whole trial.
            seed: an int; other seeds, other trials.
            style: trials: a `Trials`; neurogym: (inputs [T, B, I], labels [T, B] or targets [T, B, A]), time first;
                psychrnn: (x, y, mask, params), lifetimes first, mask [B, T, A], params a list of dicts.
            device: where the trials are made.
            settings: of the task, where `task` is an id.

        Raises:
            ValueError: if the task has no trials that can be drawn ahead, or a number is out of range.
            ConfigError: if there is no such task, preset or setting.
        """
        if not isinstance(task, str) and settings:
            raise ValueError(f"settings are {settings} beside a task that is made; give its id, or make it with them")
        self.task = make(task, **settings) if isinstance(task, str) else task
        facts = self.task.facts
        if facts.response not in ("choice", "readout") or not facts.open_loop:
            raise ValueError(f"{facts.id} has no trials that can be drawn ahead; use reset and step, or decisions")
        for name, number in (("batch", batch), ("batches", batches), ("steps", 1 if steps is None else steps)):
            if number < 1:
                raise ValueError(f"{name} is {number}, wanted 1 or more")
        if style not in STYLES:
            raise ValueError(f"style is {style!r}, wanted one of {', '.join(STYLES)}{near_miss(style, list(STYLES))}")
        self.batch, self.batches, self.steps, self.seed = batch, batches, steps, seed
        self.style, self.device, self.position = style, torch.device(device), 0

    def __len__(self) -> int:
        """Batches."""
        return self.batches

    def __getitem__(self, number: int) -> Any:
        """Batch `number`, in the dataset's style.

        Raises:
            IndexError: beyond the last one.
        """
        if not -self.batches <= number < self.batches:
            raise IndexError(f"batch {number} of {self.batches}")
        first = number % self.batches * self.batch
        lifetimes = torch.arange(first, first + self.batch, device=self.device)
        return self._styled(self._whole(lifetimes) if self.steps is None else self._joined(lifetimes, self.steps))

    def __iter__(self) -> Iterator[Any]:
        """The batches from `position` on; at the end, the next loop starts again."""
        while self.position < self.batches:
            self.position += 1  # before it is given, so that a state taken in the loop's body continues after it
            yield self[self.position - 1]
        self.position = 0

    def state_dict(self) -> dict[str, int]:
        """Where an iteration is, and what the numbers depend on."""
        return {"position": self.position, "batch": self.batch, "seed": self.seed}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            ValueError: if it was taken of a dataset with another batch or seed.
        """
        for name in ("batch", "seed"):
            if state[name] != getattr(self, name):
                raise ValueError(f"{name} is {state[name]} in the state, wanted {getattr(self, name)}, the dataset's")
        self.position = state["position"]

    def _whole(self, lifetimes: Int[Tensor, " B"]) -> Trials:
        """Trial 0 of every lifetime."""
        shown = self.task.render(lifetimes, 0, self.seed)
        there = torch.arange(len(shown.w), device=lifetimes.device)[:, None] < _lengths(shown)
        nothing = torch.full_like(there, -1, dtype=torch.int64)
        return Trials(
            shown.x, shown.y, shown.w, torch.where(there, 0, nothing), torch.where(there, shown.kind, nothing)
        )

    def _joined(self, lifetimes: Int[Tensor, " B"], steps: int) -> Trials:
        """Trials one after the other, each put where the one before it ends."""
        end, number, made = torch.zeros_like(lifetimes), 0, None
        while int(end.min()) < steps:
            if number == self.task.lifetime_trials:
                raise ValueError(
                    f"steps is {steps}, but the {number} trials of a life of {self.task.kind} have fewer; wanted fewer "
                    "steps, or a task with more trials"
                )
            shown = self.task.render(lifetimes, number, self.seed)
            if made is None:
                made = _empty(shown, steps)
            frame = torch.arange(len(shown.w), device=lifetimes.device)[:, None]
            goes_to = end + frame
            t, lane = ((frame < _lengths(shown)) & (goes_to < steps)).nonzero(as_tuple=True)
            place = goes_to[t, lane], lane
            kind = shown.kind.expand(len(shown.w), -1)
            for whole, part in zip(made, (shown.x, shown.y, shown.w, torch.full_like(kind, number), kind), strict=True):
                whole[place] = part[t, lane].to(whole.dtype)
            end, number = end + _lengths(shown), number + 1
        assert made is not None
        return made

    def _styled(self, trials: Trials) -> Any:
        if self.style == "trials":
            return trials
        if self.style == "neurogym":
            return trials.x, trials.y.argmax(-1) if self.task.facts.response == "choice" else trials.y
        mask = trials.w.T[..., None].expand(*trials.w.T.shape, trials.y.shape[-1])
        kinds, lengths = trials.kind[0].tolist(), (trials.trial == 0).sum(0).tolist()
        params = [{"kind": kind, "length": length} for kind, length in zip(kinds, lengths, strict=True)]
        return trials.x.transpose(0, 1), trials.y.transpose(0, 1), mask, params


def _lengths(shown: Any) -> Int[Tensor, " B"]:
    return torch.full_like(shown.kind, len(shown.w)) if shown.length is None else shown.length


def _empty(like: Any, steps: int) -> Trials:
    """Room for `steps` frames."""
    rows = (like.x.new_zeros(steps, *like.x.shape[1:]), like.y.new_zeros(steps, *like.y.shape[1:]))
    none = torch.full((steps, like.w.shape[1]), -1, dtype=torch.int64, device=like.w.device)
    return Trials(*rows, like.w.new_zeros(steps, like.w.shape[1]), none, none.clone())

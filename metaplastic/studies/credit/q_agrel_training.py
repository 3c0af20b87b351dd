"""Networks of Pozzi et al. 2018, Table 1, trained side by side: n brains of one shape, each with its rule as numbers.

    f_K = (r - q_s) 1{k = s}  (Q-AGREL)     or     t - q  (backprop of the squared error)                   (1)
    W_k <- W_k + eta <f_k y_{k-1}^T>,       B_k <- B_k + eta plastic <f_k y_{k-1}^T>                        (2)

f comes down by B (`inner_loop/feedback/transport.py`). B starts as W (symmetric) or as drawn (learned, fixed); it is
plastic in the first two, so that a symmetric B stays W, bit by bit. No biases, ReLU, linear outputs, max-Boltzmann
choice. Rows of the table share a seed's first weights, order of images and uniform numbers. A network that has
converged leaves the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metaplastic import rng
from metaplastic.inner_loop.feedback.transport import descend
from metaplastic.inner_loop.networks.layers import Layers
from metaplastic.inner_loop.objectives.answer import chosen
from metaplastic.inner_loop.policies import MaxBoltzmann
from metaplastic.tasks.images.pools import CLASSES, Pool

BATCH, RANGE, EPSILON = 100, 0.05, 0.02
"""images a write; first weights are U(-RANGE, RANGE); exploration (not in the paper: that of BrainProp's code)"""
SAME = 5
"""validations in a row that agree to a tenth of a percent, after which a network has converged"""
SHUFFLE, CHOICE, BIRTH, FEEDBACK = range(4)
"""children of a seed's key"""


class Row(NamedTuple):
    """One row of the table."""

    rule: str
    """Q-AGREL or errorBP"""
    feedback: str
    """symmetric, learned or fixed"""
    hidden: tuple[int, ...]
    eta: float
    accuracy: float
    """published, percent, with its deviation over ten seeds"""
    deviation: float
    epochs: float
    """published; 999: had not converged"""

    @property
    def name(self) -> str:
        """As a table shows it."""
        return f"{self.rule}, {self.feedback}, {'-'.join(map(str, self.hidden))}, rate {self.eta:g}"


class Protocol(NamedTuple):
    """How long, on what."""

    images: int
    """for learning, those of validation among them"""
    validation: int
    epochs: int
    every: int
    """epochs between two validations"""
    slower_from: int
    """epoch from which rates are a tenth"""
    stops: bool
    """a network that has converged stops"""


class Brains(NamedTuple):
    """n networks of one shape in the middle of their training; one entry a connection group."""

    row: Int[Tensor, " n"]
    seed: Int[Tensor, " n"]
    weights: list[Float[Tensor, "n post pre"]]
    feedback: list[Float[Tensor, "n post pre"]]
    """of all groups but the first"""
    eta: Float[Tensor, "n 1 1"]
    chooses: Float[Tensor, "n 1 1"]
    """1: Q-AGREL, 0: backprop"""
    plastic: Float[Tensor, "n 1 1"]
    """1: feedback weights learn"""

    def layers(self) -> Layers:
        """As the inner loop sees them."""
        masks = tuple(w.new_ones(1, 1, *w.shape[1:]) for w in self.weights)
        return Layers(tuple(w[:, None] for w in self.weights), masks, "relu", bias=False)

    def those(self, which: Bool[Tensor, " n"]) -> Brains:
        """Some of them."""
        return Brains(
            self.row[which],
            self.seed[which],
            [w[which] for w in self.weights],
            [b[which] for b in self.feedback],
            self.eta[which],
            self.chooses[which],
            self.plastic[which],
        )


class Trained(NamedTuple):
    """What came of rows × seeds, R × S of them."""

    accuracy: Float[Tensor, "R S"]
    """of the test images, at the end"""
    epochs: Float[Tensor, "R S"]
    """of training"""
    course: Float[Tensor, "R S E"]
    """accuracy at each validation; NaN after the end"""
    hits: Float[Tensor, "R S epochs classes"]
    """share of the training images of each class that were named right"""
    alignment: Float[Tensor, "R S 2"]
    """cosine of the highest feedback weights to the weights, at birth and at the end"""
    drift: Float[Tensor, "R S"]
    """largest change of W - B of any plastic feedback weight, in units of RANGE; 0 where B is fixed"""


def born(rows: list[Row], key: Int[Tensor, " S"], pixels: int) -> Brains:
    """Every row with every seed; all of one shape."""
    sizes = [pixels, *rows[0].hidden, CLASSES]
    seeds, count = len(key), len(rows)

    def drawn(child: int, group: int) -> Float[Tensor, "n post pre"]:
        keys = rng.fold(rng.fold(key, child), group)
        first = RANGE * (2 * rng.uniforms(keys, sizes[group + 1], sizes[group]) - 1)
        return first.repeat(count, 1, 1)

    weights = [drawn(BIRTH, group) for group in range(len(sizes) - 1)]
    symmetric = each(rows, seeds, lambda row: row.feedback == "symmetric", key)
    feedback = [torch.where(symmetric > 0, weights[k], drawn(FEEDBACK, k)) for k in range(1, len(weights))]
    return Brains(
        row=torch.arange(count, device=key.device).repeat_interleave(seeds),
        seed=torch.arange(seeds, device=key.device).repeat(count),
        weights=weights,
        feedback=feedback,
        eta=each(rows, seeds, lambda row: row.eta, key),
        chooses=each(rows, seeds, lambda row: row.rule == "Q-AGREL", key),
        plastic=each(rows, seeds, lambda row: row.feedback != "fixed", key),
    )


def each(rows: list[Row], seeds: int, number: Callable[[Row], float], like: Tensor) -> Float[Tensor, "n 1 1"]:
    """A number of every row, for all seeds."""
    values = torch.tensor([float(number(row)) for row in rows], device=like.device)
    return values.repeat_interleave(seeds)[:, None, None]


def write(
    brains: Brains,
    x: Float[Tensor, "n S I"],
    label: Int[Tensor, "n S"],
    coins: Float[Tensor, "n S 2"],
    slower: float = 1.0,
) -> Bool[Tensor, "n S"]:
    """One minibatch, eqs. (1) and (2), in place; which answers were right (greedy ones in backprop)."""
    layers = brains.layers().forward(x[:, None])
    q = layers[-1].post[:, 0]
    explore = {"epsilon": q.new_full((1, 1), EPSILON), "temperature": q.new_ones(1, 1)}
    explored = MaxBoltzmann.choose(q, coins[..., 0], coins[..., 1], explore)
    action = torch.where(brains.chooses[..., 0] > 0, explored, q.argmax(-1))
    right = action == label
    marked = chosen(action, CLASSES, q)
    by_reward = (right.to(q)[..., None] - q) * marked
    top = torch.where(brains.chooses > 0, by_reward, chosen(label, CLASSES, q) - q)
    signals = descend(layers, [carrier[:, None] for carrier in brains.feedback], top[:, None])
    rate = slower * brains.eta / x.shape[1]
    for group, (signal, layer) in enumerate(zip(signals, layers, strict=True)):
        above, below = (rate * signal[:, 0]).mT, layer.pre[:, 0]
        brains.weights[group].baddbmm_(above, below)
        if group:
            brains.feedback[group - 1].baddbmm_(brains.plastic * above, below)
    return right


def accuracy(brains: Brains, images: Float[Tensor, "N I"], label: Int[Tensor, " N"]) -> Float[Tensor, " n"]:
    """Share of images whose largest output is the right one."""
    net, count = brains.layers(), torch.zeros(len(brains.row), device=label.device)
    for x, named in zip(images.split(500), label.split(500), strict=True):
        count += (net.forward(x[None, None])[-1].post[:, 0].argmax(-1) == named).sum(-1)
    return count / len(label)


def converged(course: Float[Tensor, "n V"]) -> Bool[Tensor, " n"]:
    """The last SAME validations agree to one decimal of a percent."""
    if course.shape[1] < SAME:
        return torch.zeros(len(course), dtype=torch.bool, device=course.device)
    last = (course[:, -SAME:] * 1000).round()
    return (last == last[:, :1]).all(1)


def train(
    rows: list[Row],
    protocol: Protocol,
    pool: Pool,
    test: Pool,
    key: Int[Tensor, " S"],
    say: Callable[[str], None] = print,
) -> Trained:
    """Rows of one shape with every seed, to the end."""
    seen, labels = pool.images[: protocol.images].float() / pool.white, pool.labels[: protocol.images]
    brains = born(rows, key, seen.shape[1])
    record = _Record(rows, len(key), protocol, brains)
    for epoch in range(protocol.epochs):
        order = rng.permutation(rng.fold(rng.fold(key, SHUFFLE), epoch), len(labels))
        slower = 0.1 if epoch >= protocol.slower_from else 1.0
        record.hits.append(_epoch(brains, seen, labels, order[:, protocol.validation :], key, epoch, slower, record))
        if (epoch + 1) % protocol.every == 0:
            record.validated(brains, seen, labels, order[:, : protocol.validation])
            say(f"{rows[0].hidden}: epoch {epoch + 1}, {len(brains.row)} networks, mean {record.latest:.4f}")
            ends = record.ends(brains) if protocol.stops else torch.zeros_like(brains.row, dtype=torch.bool)
            if ends.any():
                record.finished(brains.those(ends), test, epoch + 1)
                brains = brains.those(~ends)
        if not len(brains.row):
            break
    if len(brains.row):
        record.finished(brains, test, protocol.epochs)
    return record.result()


def _epoch(
    brains: Brains,
    seen: Tensor,
    labels: Tensor,
    order: Int[Tensor, "S N"],
    key: Tensor,
    epoch: int,
    slower: float,
    record: _Record,
) -> Float[Tensor, "R S classes"]:
    """All minibatches of an epoch; the share of each class that was named right, NaN where no network trains."""
    hits = seen.new_zeros(len(brains.row), CLASSES)
    total = torch.zeros_like(hits)
    for step, place in enumerate(order.split(BATCH, 1)):
        label = labels[place][brains.seed]
        keys = rng.fold(rng.fold(rng.fold(key, CHOICE), epoch), step)
        coins = rng.uniforms(keys, place.shape[1], 2)[brains.seed]
        right = write(brains, seen[place][brains.seed], label, coins, slower)
        hits.scatter_add_(1, label, right.to(hits))
        total.scatter_add_(1, label, torch.ones_like(label, dtype=hits.dtype))
    return record.spread(brains, hits / total.clamp(min=1))


class _Record:
    """What is kept of a training; all by [row, seed]."""

    def __init__(self, rows: list[Row], seeds: int, protocol: Protocol, brains: Brains) -> None:
        self.shape, self.protocol, self.rows = (len(rows), seeds), protocol, rows
        self.course: list[Tensor] = []
        self.hits: list[Tensor] = []
        self.test = brains.eta.new_full(self.shape, torch.nan)
        self.epochs, self.drift = self.test.clone(), self.test.clone()
        self.alignment = brains.eta.new_full((*self.shape, 2), torch.nan)
        self.start = [w - b for w, b in zip(brains.weights[1:], brains.feedback, strict=True)]
        self.alignment[..., 0] = self.spread(brains, _cosine(brains))
        self.latest = 0.0

    def spread(self, brains: Brains, value: Float[Tensor, "n *rest"]) -> Float[Tensor, "R S *rest"]:
        """By row and seed; NaN where no network is."""
        out = value.new_full((*self.shape, *value.shape[1:]), torch.nan)
        out[brains.row, brains.seed] = value
        return out

    def validated(self, brains: Brains, seen: Tensor, labels: Tensor, order: Int[Tensor, "S N"]) -> None:
        """A validation of all that still train, each on the images of its seed."""
        found = brains.eta.new_zeros(len(brains.row))
        for seed, place in enumerate(order):
            mine = brains.seed == seed
            if mine.any():
                found[mine] = accuracy(brains.those(mine), seen[place], labels[place])
        self.course.append(self.spread(brains, found))
        self.latest = found.mean().item()

    def ends(self, brains: Brains) -> Bool[Tensor, " n"]:
        """Which have converged."""
        course = torch.stack(self.course, -1)[brains.row, brains.seed]
        return converged(course)

    def finished(self, brains: Brains, test: Pool, epochs: int) -> None:
        """The test of those that stop."""
        where = brains.row, brains.seed
        self.test[where] = accuracy(brains, test.images.float() / test.white, test.labels)
        self.epochs[where] = float(epochs)
        self.alignment[(*where, torch.ones_like(brains.row))] = _cosine(brains)
        place = brains.row * self.shape[1] + brains.seed
        moved = [
            ((w - b) - start[place]).abs().amax((1, 2))
            for w, b, start in zip(brains.weights[1:], brains.feedback, self.start, strict=True)
        ]
        self.drift[where] = torch.stack(moved).amax(0) * brains.plastic[:, 0, 0] / RANGE

    def result(self) -> Trained:
        """All of it."""
        none = self.test.new_zeros(*self.shape, 0)
        course = torch.stack(self.course, -1) if self.course else none
        return Trained(self.test, self.epochs, course, torch.stack(self.hits, 2), self.alignment, self.drift)


def _cosine(brains: Brains) -> Float[Tensor, " n"]:
    """Between the output's weights and the feedback weights beside them."""
    return torch.cosine_similarity(brains.weights[-1].flatten(1), brains.feedback[-1].flatten(1))

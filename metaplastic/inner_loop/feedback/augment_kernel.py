"""AuGMEnT as a Numba kernel, for tasks whose trials are a table: one network after the other, from birth to success.

The numbers are those of `augment_life.py` (float64): same keys, same order. What a trial is stands in a `Table`, so the
kernel knows no task. A network reaches its goal when in the last `window` trials of every kind a share of `share` was
right; it is done when it then does every kind without exploring or writing, which is tried after each trial.
The whole life of a network runs in the cache.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, no_type_check

import numba
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from metaplastic.inner_loop.networks.working_memory import Weights
from metaplastic.rng_numba import below, fold, uniform, word

_compiled = numba.njit(error_model="numpy", nogil=True, cache=True)


class Table(NamedTuple):
    """A trial: X places, A actions, K kinds of trial, each alike. numpy arrays."""

    follows: np.ndarray
    """[X, A] int64: the next place, or -1 where the trial ends"""
    earns: np.ndarray
    """[X, A] float64: reward whatever the kind"""
    answers: np.ndarray
    """[X] int64: 1 where the right action is judged"""
    sights: np.ndarray
    """[K, X, I] float64"""
    right: np.ndarray
    """[K] int64: the right action of each kind"""
    reward: float
    """for it"""


class Goal(NamedTuple):
    """When a network is done, and for how long it may try."""

    trials: int
    window: int
    share: float


class Outcome(NamedTuple):
    """What came of G networks."""

    reached: Int[Tensor, " G"]
    """trials until the goal; -1: not within its trials"""
    when: Int[Tensor, " G"]
    """trials until it was done; -1: not within the goal's trials"""
    right: Int[Tensor, "G blocks"]
    """right trials in each hundred; those after it was done are -1"""
    weights: Weights


@_compiled
@no_type_check
def sigmoid(a):
    """1 / (1 + exp(-a))."""
    return 1.0 / (1.0 + math.exp(-a))


@_compiled
@no_type_check
def respond(weights, x, before, potential, theta, keep, seen, change, regular, memory, q):
    """Equations (1) to (4) of `working_memory.py`."""
    v_r, v_m, w_r, w_m = weights
    inputs = x.shape[0]
    for i in range(inputs):
        seen[i + 1] = x[i]
        change[i] = max(x[i] - before[i], 0.0)
        change[inputs + i] = max(before[i] - x[i], 0.0)
        before[i] = x[i]
    for j in range(v_r.shape[0]):
        regular[j + 1] = sigmoid(np.sum(v_r[j] * seen) - theta)
    for j in range(v_m.shape[0]):
        potential[j] = keep * potential[j] + np.sum(v_m[j] * change)
        memory[j] = sigmoid(potential[j] - theta)
    for a in range(q.shape[0]):
        q[a] = np.sum(w_r[a] * regular) + np.sum(w_m[a] * memory)


@_compiled
@no_type_check
def choose(q, epsilon, temperature, key):
    """MaxBoltzmann (`policies.py`)."""
    best = 0
    for a in range(1, q.shape[0]):
        if q[a] > q[best]:
            best = a
    if not uniform(word(key, 0)) < epsilon:
        return best
    u, total, heaped = uniform(word(key, 1)), 0.0, 0.0
    for a in range(q.shape[0]):
        total += math.exp((q[a] - q[best]) / temperature)
    for a in range(q.shape[0]):
        heaped += math.exp((q[a] - q[best]) / temperature) / total
        if heaped > u:
            return a
    return q.shape[0] - 1


@_compiled
@no_type_check
def write(weights, tags, change):
    """w += change Tag."""
    for g in range(4):
        w, tag = weights[g], tags[g]
        for i in range(w.shape[0]):
            for j in range(w.shape[1]):
                w[i, j] += change * tag[i, j]


@_compiled
@no_type_check
def tag(weights, tags, decay, action, seen, summed, regular, memory):
    """Equations (3) to (5) of `augment.py`."""
    _, _, w_r, w_m = weights
    t_r, t_m, o_r, o_m = tags
    for g in range(4):
        one = tags[g]
        for i in range(one.shape[0]):
            for j in range(one.shape[1]):
                one[i, j] *= decay
    for j in range(t_r.shape[0]):
        down = w_r[action, j + 1] * regular[j + 1] * (1 - regular[j + 1])
        t_r[j] += down * seen
    for j in range(t_m.shape[0]):
        down = w_m[action, j] * memory[j] * (1 - memory[j])
        t_m[j] += down * summed
    o_r[action] += regular
    o_m[action] += memory


@_compiled
@no_type_check
def trial(weights, tags, table, kind, key, numbers):
    """One trial; whether it was right, and what it earned. beta 0 and epsilon 0: a test."""
    follows, earns, answers, sights, right, reward_of = table
    beta, decay, gamma, epsilon, temperature, theta, keep, worth = numbers
    inputs, actions, units = sights.shape[2], follows.shape[1], weights[1].shape[0]
    before, seen, change, summed = np.zeros(inputs), np.ones(inputs + 1), np.zeros(2 * inputs), np.zeros(2 * inputs)
    regular, memory, potential, q = np.ones(weights[2].shape[1]), np.zeros(units), np.zeros(units), np.zeros(actions)
    for g in range(4):
        tags[g][:] = 0.0
    place, step, expected, reward, earned, correct = 0, 0, 0.0, 0.0, 0.0, False
    while place >= 0:
        respond(weights, sights[kind, place], before, potential, theta, keep, seen, change, regular, memory, q)
        action = choose(q, epsilon, temperature, fold(key, step))
        write(weights, tags, beta * (worth * reward + gamma * q[action] - expected))
        for i in range(2 * inputs):
            summed[i] = keep * summed[i] + change[i]
        tag(weights, tags, decay, action, seen, summed, regular, memory)
        expected = q[action]
        correct = answers[place] == 1 and action == right[kind]
        reward = earns[place, action] + (reward_of if correct else 0.0)
        earned += reward
        place, step = follows[place, action], step + 1
    write(weights, tags, beta * (worth * reward - expected))
    return correct, earned


@_compiled
@no_type_check
def testing(numbers):
    """The numbers of a test: nothing is written, the best action is taken."""
    _, decay, gamma, _, temperature, theta, keep, worth = numbers
    return (0.0, decay, gamma, 0.0, temperature, theta, keep, worth)


@_compiled
@no_type_check
def kind_of(task_key, n, kinds):
    """The kind of trial n."""
    return below(word(fold(fold(fold(task_key, 1), n), 0), 0), kinds)


@_compiled
@no_type_check
def passes(weights, tags, table, key, numbers):
    """Whether every kind is right without exploring; nothing is written."""
    kinds, right = table[4].shape[0], 0
    for kind in range(kinds):
        right += np.int64(trial(weights, tags, table, kind, key, testing(numbers))[0])
    return right == kinds


@_compiled
@no_type_check
def life_until(weights, tags, table, numbers, task_key, policy_key, trials, window, share, right):
    """Trials until the network is done; when it reached its goal, and when it was done."""
    kinds = table[4].shape[0]
    past, counts, sums = np.zeros((kinds, window), np.int64), np.zeros(kinds, np.int64), np.zeros(kinds, np.int64)
    right[:] = -1
    reached = -1
    for n in range(trials):
        kind, key = kind_of(task_key, n, kinds), fold(policy_key, n)
        good = np.int64(trial(weights, tags, table, kind, key, numbers)[0])
        place = counts[kind] % window
        sums[kind] += good - past[kind, place]
        past[kind, place] = good
        counts[kind] += 1
        if n % 100 == 0:
            right[n // 100] = 0
        right[n // 100] += good
        if sums.min() >= share * window:
            reached = n + 1 if reached < 0 else reached
            if passes(weights, tags, table, key, numbers):
                return reached, n + 1
    return reached, -1


@_compiled
@no_type_check
def lives_until(v_r, v_m, w_r, w_m, table, numbers, task_key, policy_key, trials, window, share, right, reached, when):
    """All networks."""
    for g in range(v_r.shape[0]):
        weights = (v_r[g], v_m[g], w_r[g], w_m[g])
        tags = (np.zeros_like(v_r[g]), np.zeros_like(v_m[g]), np.zeros_like(w_r[g]), np.zeros_like(w_m[g]))
        n = numbers[g]
        own = (n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7])
        reached[g], when[g] = life_until(
            weights, tags, table, own, task_key[g], policy_key[g], trials, window, share, right[g]
        )


@_compiled
@no_type_check
def whole_lives(v_r, v_m, w_r, w_m, table, numbers, task_key, policy_key, trials, correct, earned):
    """`trials` trials of learning, and those of the test, of all networks."""
    for g in range(v_r.shape[0]):
        weights = (v_r[g], v_m[g], w_r[g], w_m[g])
        tags = (np.zeros_like(v_r[g]), np.zeros_like(v_m[g]), np.zeros_like(w_r[g]), np.zeros_like(w_m[g]))
        n = numbers[g]
        own = (n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7])
        for t in range(correct.shape[1]):
            kind, key = kind_of(task_key[g], t, table[4].shape[0]), fold(policy_key[g], t)
            now = own if t < trials else testing(own)
            good, earned[g, t] = trial(weights, tags, table, kind, key, now)
            correct[g, t] = 1.0 if good else 0.0


class Population(NamedTuple):
    """G = P L networks as the kernels take them: numpy arrays, float64."""

    weights: tuple[np.ndarray, ...]
    numbers: np.ndarray
    task_keys: np.ndarray
    policy_keys: np.ndarray


def population(
    weights: Weights, numbers: dict[str, Tensor], task_key: Int[Tensor, " L"], policy_key: Int[Tensor, " L"]
) -> Population:
    """`numbers` are those of rule and network, [P], and `worth`, of a reward (1 if it is not there)."""
    individuals, lifetimes = weights.regular.shape[:2]
    worth = numbers.get("worth", torch.ones_like(numbers["beta"]))
    rest = [numbers[name] for name in ("discount", "epsilon", "temperature", "theta", "keep")]
    columns = (numbers["beta"], numbers["trace"] * numbers["discount"], *rest, worth)
    own = torch.stack(columns, -1).double().repeat_interleave(lifetimes, 0).contiguous()
    tasks, policies = (key.repeat(individuals).contiguous().numpy() for key in (task_key, policy_key))
    copies = tuple(group.double().flatten(0, 1).contiguous().clone().numpy() for group in weights)
    return Population(copies, own.numpy(), tasks, policies)


def live(
    weights: Weights,
    table: Table,
    numbers: dict[str, Tensor],
    task_key: Int[Tensor, " L"],
    policy_key: Int[Tensor, " L"],
    trials: int,
    tests: int,
) -> tuple[Float[Tensor, "T P L"], Float[Tensor, "T P L"]]:
    """Whether each trial of each life was right, and what it earned; the last `tests` are those of the test."""
    brains = population(weights, numbers, task_key, policy_key)
    shape = (*weights.regular.shape[:2], trials + tests)
    correct, earned = (np.zeros((len(brains.numbers), trials + tests)) for _ in range(2))
    v_r, v_m, w_r, w_m = brains.weights
    whole_lives(v_r, v_m, w_r, w_m, tuple(table), *brains[1:], trials, correct, earned)
    return tuple(torch.from_numpy(part).reshape(shape).movedim(-1, 0) for part in (correct, earned))  # pyright: ignore


def learn(
    weights: Weights,
    table: Table,
    numbers: dict[str, Tensor],
    task_key: Int[Tensor, " L"],
    policy_key: Int[Tensor, " L"],
    goal: Goal,
) -> Outcome:
    """G = P L networks learn until they are done; the keys K(TASK) and K(POLICY) of each lifetime."""
    brains = population(weights, numbers, task_key, policy_key)
    count = len(brains.numbers)
    right = torch.zeros(count, -(-goal.trials // 100), dtype=torch.int64)
    reached, when = torch.zeros(count, dtype=torch.int64), torch.zeros(count, dtype=torch.int64)
    v_r, v_m, w_r, w_m = brains.weights
    lives_until(
        v_r, v_m, w_r, w_m, tuple(table), *brains[1:], goal.trials, goal.window, goal.share,
        right.numpy(), reached.numpy(), when.numpy(),
    )  # fmt: skip
    after = [torch.from_numpy(w).reshape(old.shape) for w, old in zip(brains.weights, weights, strict=True)]
    return Outcome(reached, when, right, Weights(*after))


def table_of(automaton: Any) -> Table:
    """The table of a task that is one: its `automaton` has the fields of `Table`, as plain numbers."""
    whole = {name: np.array(getattr(automaton, name), np.int64) for name in ("follows", "answers", "right")}
    real = {name: np.array(getattr(automaton, name), np.float64) for name in ("earns", "sights")}
    return Table(**whole, **real, reward=float(automaton.reward))

"""Meta-RL agents: environment steps a second, with learning, beside one environment at a time.

LSTM of 48 units, two-armed bandits of 100 trials, A2C over whole episodes, one rollout and one update after it:

    population   8 agents x 64 episodes side by side, each agent with weights of its own, one backward pass
    one agent    the same with 1 agent x 64 episodes
    plain loop   as published re-implementations: one environment, `nn.LSTMCell`, a step of Python a trial, autograd
    SB3          RecurrentPPO of Stable-Baselines3-contrib on 64 Gymnasium environments of the same task, if installed

The plain loop and ours descend the same loss. Turns are interleaved, medians are taken, of processor time. Targets: the
population at least 50 times the plain loop, and 300,000 steps a second on two cores. Exit code 1 if one is missed.

    python benchmarks/agents.py [--turns 3]
"""

import argparse
import importlib
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from metaplastic import rng
from metaplastic.inner_loop.agents.agent import born
from metaplastic.inner_loop.agents.training import train
from metaplastic.inner_loop.gradient.actor_critic import A2C
from metaplastic.inner_loop.networks.gated import LSTM
from metaplastic.inner_loop.objectives import Reward
from metaplastic.tasks.registry import KINDS

UNITS, TRIALS, LANES = 48, 100, 64
DISCOUNT, VALUE, ENTROPY, RATE = 0.8, 0.05, 0.05, 2e-3
TARGET_RATIO, TARGET_RATE = 50.0, 300_000


def bandit() -> Any:
    return KINDS["Bandit-v0"].model_validate({"kind": "Bandit-v0", "trials": TRIALS - 1, "test_trials": 1})


def ours(agents: int, updates: int) -> Callable[[], int]:
    """A training of some updates; the steps that it took."""
    brains = born(LSTM(units=UNITS), bandit(), agents, rng.fold(rng.root(1), torch.arange(agents)))
    rule = A2C(updates=updates, batch=LANES, discount=DISCOUNT)

    def turn() -> int:
        train(brains, rule, Reward(), bandit(), rng.root(2), streams=torch.arange(agents))
        return agents * LANES * TRIALS * updates

    return turn


class PlainAgent(nn.Module):
    """An agent as one would write it."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, UNITS)
        self.policy, self.value = nn.Linear(UNITS, 2), nn.Linear(UNITS, 1)


def plain(episodes: int) -> Callable[[], int]:
    """One environment, one step after the other, an update after each episode."""
    agent, task = PlainAgent(), bandit()
    optimiser = torch.optim.Adam(agent.parameters(), RATE)
    count = [0]

    def episode() -> None:
        block = task.decisions(torch.tensor([count[0]]), 0, TRIALS, 2)
        count[0] += 1
        h, c = torch.zeros(1, UNITS), torch.zeros(1, UNITS)
        told = torch.zeros(1, 4)
        told[0, 0] = 1.0
        logs, values, entropies, rewards = [], [], [], []
        for trial in range(TRIALS):
            h, c = agent.cell(told, (h, c))
            policy = torch.distributions.Categorical(logits=agent.policy(h))
            action = policy.sample()
            reward = float(block.payoff[trial, 0, action])
            logs.append(policy.log_prob(action))
            values.append(agent.value(h)[0])
            entropies.append(policy.entropy())
            rewards.append(reward)
            told = torch.zeros(1, 4)
            told[0, 0], told[0, 1 + int(action)], told[0, 3] = 1.0, 1.0, reward
        coming, loss = 0.0, torch.zeros(1)
        for log, value, entropy, reward in zip(*map(reversed, (logs, values, entropies, rewards)), strict=True):
            coming = reward + DISCOUNT * coming
            miss = coming - value
            loss = loss - log * miss.detach() + VALUE * 0.5 * miss.square() - ENTROPY * entropy
        optimiser.zero_grad()
        loss.sum().backward()
        nn.utils.clip_grad_norm_(agent.parameters(), 1.0)
        optimiser.step()

    def turn() -> int:
        for _ in range(episodes):
            episode()
        return episodes * TRIALS

    return turn


def recurrent_ppo() -> Callable[[], int]:
    """Stable-Baselines3-contrib on Gymnasium's vector of the same task, one rollout and its update a turn."""
    ppo = importlib.import_module("sb3_contrib").RecurrentPPO
    dummy = importlib.import_module("stable_baselines3.common.vec_env").DummyVecEnv
    gymnasium = importlib.import_module("metaplastic.tasks.adapters.gymnasium_bridge").gymnasium

    def make() -> Any:
        return gymnasium.make("metaplastic/Bandit-v0", trials=TRIALS - 1, test_trials=1, feedback=True)

    settings = {"lstm_hidden_size": UNITS, "enable_critic_lstm": False, "shared_lstm": True, "net_arch": []}
    model = ppo(
        "MlpLstmPolicy", dummy([make] * LANES), n_steps=TRIALS, batch_size=LANES * TRIALS, n_epochs=1,
        policy_kwargs=settings, device="cpu",
    )  # fmt: skip

    def turn() -> int:
        model.learn(LANES * TRIALS)
        return LANES * TRIALS

    return turn


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--turns", type=int, default=3)
    turns = arguments.parse_args().turns
    torch.set_num_threads(max(1, min(2, os.cpu_count() or 1)))
    forms = {"population": ours(8, 4), "one agent": ours(1, 8), "plain loop": plain(3)}
    if importlib.util.find_spec("sb3_contrib"):
        forms["SB3"] = recurrent_ppo()
    for turn in forms.values():
        turn()  # what is compiled is compiled now
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in forms}
    for _ in range(turns):
        for name, turn in forms.items():
            wall, busy = time.perf_counter(), time.process_time()
            steps = turn()
            rates[name].append((steps / (time.perf_counter() - wall), steps / (time.process_time() - busy)))
    middle = {n: tuple(statistics.median(column) for column in zip(*rows, strict=True)) for n, rows in rates.items()}
    base = middle["plain loop"][1]
    print(f"{'form':<12}{'steps/s':>12}{'steps/s of processor time':>28}{'times the plain loop':>24}")
    for name, (wall, busy) in middle.items():
        print(f"{name:<12}{wall:>12,.0f}{busy:>28,.0f}{busy / base:>24.1f}")
    if "SB3" not in forms:
        print("sb3-contrib is not installed: RecurrentPPO is left out")
    ratio, rate = middle["population"][1] / base, middle["population"][0]
    print(
        f"population / plain loop {ratio:.0f} (target {TARGET_RATIO:.0f}); {rate:,.0f} steps/s (target {TARGET_RATE:,})"
    )
    return 0 if ratio >= TARGET_RATIO and rate >= TARGET_RATE else 1


if __name__ == "__main__":
    sys.exit(main())

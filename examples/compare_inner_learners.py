"""Two inner learners on the same bandits, beside the algorithms that theory knows, on one figure.

One is a gated network that a gradient has trained over thousands of bandits, then frozen (its learning is in its
activity); the other a local rule that changes weights during its only life. Evolution has set the numbers of both:

    metaplastic search examples/evolve_meta_rl.yaml --out runs/meta-rl
    metaplastic search examples/evolve_plastic_agent.yaml --out runs/plastic
    python examples/compare_inner_learners.py runs/meta-rl runs/plastic inner-learners.png

Without arguments it makes two tiny searches first, which learn little: a look at how it is done.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

import metaplastic as mp
from metaplastic.platform.evaluate import generation_key, live_experiment
from metaplastic.platform.figure_style import CHAMPION, INK, OTHERS, QUIET, START, images, new_figure, styled
from metaplastic.platform.run import RunDirectory
from metaplastic.studies.analysis.references import bandit_references, regret_curve
from metaplastic.tasks.bandits.players import Played, regret

EPISODES = 1000
HERE = Path(__file__).parent
TINY = {
    "evolve_meta_rl.yaml": ["search.population=4", "generations=2", "rule.updates=20", "lifetimes=32"],
    "evolve_plastic_agent.yaml": ["search.population=8", "generations=4", "lifetimes=32"],
}


def regret_of(run: Path) -> tuple[str, torch.Tensor, int]:
    """Name, expected regret [T] of the champion on fresh bandits, and the environment steps of its life before them."""
    champion: Any = mp.load(RunDirectory.open(run).champion)
    key = generation_key(champion.seed, 1_000_000)  # no generation of the search
    lived = live_experiment(champion, 1, key, EPISODES, ("action", "reward"))
    action, reward = (lived.recordings[name][:, 0] for name in ("action", "reward"))
    task = champion.task
    curve = regret(task, Played(action, reward), torch.arange(EPISODES), key).double().mean(1)
    rule = champion.rule
    before = rule.updates * rule.batch * task.lifetime_trials if rule.kind == "a2c" else 0
    return f"{champion.network.kind}, {rule.kind}", curve, before


@styled
def draw(champions: list[tuple[str, torch.Tensor, int]], references: dict[str, Any], random: float) -> Any:
    """Regret by trial; and what each learner lived before, against the regret that was left."""
    figure = new_figure(5.6)
    above, below = figure.subplots(2, 1, height_ratios=[3, 1.2])
    for (name, curve, _), colour in zip(champions, (CHAMPION, START), strict=False):
        above.plot(range(1, len(curve) + 1), curve, color=colour, label=name)
    for (name, curve), colour in zip(references.items(), (INK, *OTHERS), strict=False):
        above.plot(range(1, len(curve) + 1), curve, color=colour, linestyle="--", linewidth=1.2, label=name)
    above.set(xlabel="trial", ylabel="expected regret, summed (reward)", ylim=(0, None))
    above.legend(frameon=False, fontsize=8)
    best = float(references["Bayes-optimal"][-1])
    for (name, curve, before), colour in zip(champions, (CHAMPION, START), strict=False):
        share = (random - float(curve[-1])) / (random - best)
        below.plot(before, share, "o", color=colour, markersize=7, clip_on=False)
        below.annotate(name, (before, share), xytext=(8, -3), textcoords="offset points", fontsize=8.5)
    below.axhline(1, color=INK, linestyle="--", linewidth=1)
    below.axhline(0, color=QUIET, linestyle=":", linewidth=1)
    below.set(xlabel="environment steps lived before the test", ylabel="0 random, 1 optimal", ylim=(-0.1, 1.15))
    below.set_xscale("symlog", linthresh=1000)
    below.set_xlim(-100, max(3e6, 4 * max(before for _, _, before in champions)))
    return figure


def main(runs: list[Path], picture: Path) -> None:
    """Print the table, draw the figure."""
    champions = [regret_of(run) for run in runs]
    task: Any = mp.load(RunDirectory.open(runs[0]).champion).task
    task = task.model_copy(update={"feedback": False})
    trials = len(champions[0][1])
    players = bandit_references(trials)
    wanted = {"Bayes-optimal": "Bayes, independent", "Thompson": "Thompson", "UCB": "UCB 1"}
    references = {name: regret_curve(task, players[key], 1000, trials).mean for name, key in wanted.items()}
    random = float(regret_curve(task, players["random"], 1000, trials).mean[-1])
    print(f"{'learner':<28}{'regret':>8}{'0 random, 1 optimal':>22}{'steps before':>14}")
    best = float(references["Bayes-optimal"][-1])
    rows = [*champions, *((name, torch.from_numpy(curve), 0) for name, curve in references.items())]
    for name, curve, before in rows:
        print(f"{name:<28}{curve[-1]:>8.2f}{(random - float(curve[-1])) / (random - best):>22.2f}{before:>14,}")
    picture.write_bytes(images(draw(champions, references, random))[1])
    print(f"figure: {picture}")


if len(sys.argv) == 4:
    main([Path(sys.argv[1]), Path(sys.argv[2])], Path(sys.argv[3]))
else:
    with tempfile.TemporaryDirectory() as folder:
        places = []
        for file, words in TINY.items():
            places.append(Path(folder) / file)
            mp.search(mp.load(HERE / file, [*words, "tracking.wandb=disabled"]), places[-1])
        main(places, Path(folder) / "inner-learners.png")

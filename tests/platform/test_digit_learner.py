"""The main job: a rule that evolution found learns handwritten digits faster than hand-tuned Q-AGREL.

Scores are of held-out digits, which no lifetime of a search has seen, after 2,000 presentations, plasticity off.
"""

from pathlib import Path

import pytest

from metaplastic.platform.comparison import compare, trial
from metaplastic.platform.evaluate import genome_of
from metaplastic.platform.experiment_file import load
from metaplastic.platform.search import search

EXAMPLES = Path(__file__).parents[2] / "examples"
Q_AGREL = ("Q-AGREL tuned, 64 units", "Q-AGREL tuned, 128 units")


def means(entries) -> dict[str, float]:
    return {entry.name: entry.scores.mean().item() for entry in entries}


def assert_margins(scores: dict[str, float]) -> None:
    assert scores["champion"] > scores["plasticity off"] + 0.7
    assert scores["champion"] > scores["starting rule"] + 0.1
    assert scores["champion"] > scores[Q_AGREL[0]] + 0.03
    assert scores["champion"] > scores[Q_AGREL[1]] + 0.01
    assert scores["champion"] < 1


def test_the_champion_of_the_example_beats_its_controls():
    experiment = load(EXAMPLES / "evolve_digit_learner.yaml", ["comparison.lifetimes=16"])
    champion = load(EXAMPLES / "digit_learner.yaml")
    (start,) = genome_of(experiment).express(genome_of(experiment).start()[None])
    scores = means(compare(experiment, champion, start.tree))
    assert_margins(scores)
    assert scores["plasticity off"] == pytest.approx(0.1, abs=0.05)
    assert scores["backprop with labels"] > 0.85


def test_the_champion_wins_under_other_seeds_too():
    champion = load(EXAMPLES / "digit_learner.yaml", ["seed=77"])
    control = load(EXAMPLES / "evolve_digit_learner.yaml").comparison.controls[Q_AGREL[0]]
    from metaplastic.platform.comparison import with_control

    ours = trial("champion", "champion", champion, 12).scores
    theirs = trial("Q-AGREL", "control", with_control(champion, control), 12).scores
    assert (ours - theirs).mean() > 0.03
    assert (ours > theirs).sum() >= 10  # the same lifetimes: a paired comparison


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_search_finds_such_a_rule_whatever_its_seed(tmp_path, seed):
    import json

    words = [f"seed={seed}", "tracking.wandb=disabled", "comparison.lifetimes=64"]
    search(load(EXAMPLES / "evolve_digit_learner.yaml", words), tmp_path / "run")
    entries = json.loads((tmp_path / "run" / "comparison.json").read_text())["entries"]
    assert_margins({entry["name"]: entry["mean"] for entry in entries})

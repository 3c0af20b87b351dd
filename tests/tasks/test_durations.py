"""How long epochs last: what a file may say, distributions on the grid of dt, exact tables."""

import math
from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from metaplastic import rng
from metaplastic.core import ConfigError
from metaplastic.tasks.durations import Duration
from metaplastic.tasks.registry import make

FORMS = [
    500.0,
    {"choice": [300.0, 500.0, 700.0]},
    {"uniform": [200.0, 500.0]},
    {"exponential": 330.0, "within": [80.0, 1500.0]},
    {"exponential": 300.0, "within": [0.0, 1200.0], "plus": 300.0},
]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_is_read_back(form):
    assert Duration.read(form).written() == form
    assert Duration.read(Duration.read(form).written()) == Duration.read(form)


def test_a_uniform_duration_is_floored_to_the_grid():
    table = Duration.read({"uniform": [25, 65]}).table(20.0)  # [25, 40) one step, [40, 60) two, [60, 65) three
    assert table.support.tolist() == [1, 2, 3]
    assert table.probabilities.tolist() == pytest.approx([15 / 40, 20 / 40, 5 / 40], abs=1e-9)


def test_an_exponential_duration_has_the_mass_of_its_bins():
    duration = Duration.read({"exponential": 100, "within": [50, 130], "plus": 40})
    table = duration.table(20.0)
    edges = [50, 60, 80, 100, 120, 130]  # floor of a time in [50, 130) to multiples of 20: 40, 60, 80, 100, 120
    mass = [math.exp(-a / 100) - math.exp(-b / 100) for a, b in pairwise(edges)]
    assert table.support.tolist() == [4, 5, 6, 7, 8]
    assert table.probabilities.tolist() == pytest.approx([m / sum(mass) for m in mass], abs=1e-9)
    assert duration.ends(20.0) == (4, 8, pytest.approx(table.mean))


def test_draws_follow_the_table():
    duration = Duration.read({"choice": [40, 100, 60]})
    words = rng.words(rng.root(5), 6000)
    steps = duration.draw(words, 20.0)
    counts = torch.bincount(steps, minlength=6)[[2, 5, 3]].double()
    assert counts.sum() == 6000
    assert ((counts - 2000).square() / 2000).sum() < 18.4  # chi-square of 2 degrees, p = 1e-4


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("soon", ["'soon'", "a number of ms"]),
        ({"unifrom": [1, 2]}, ["did you mean 'uniform'?"]),
        ({"uniform": [5]}, ["{uniform: [low, high]}"]),
        ({"uniform": [9, 3]}, ["low < high"]),
        ({"exponential": 0, "within": [0, 9]}, ["a mean above 0"]),
        (-20, ["none below 0"]),
        (True, ["a number of ms"]),
    ],
)
def test_a_wrong_form_says_what_was_wanted(form, words):
    with pytest.raises(PydanticCustomError) as caught:
        Duration.read(form)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_duration_off_the_grid_names_its_epoch_and_the_mend():
    with pytest.raises(ConfigError, match=r"timing.fixation: is 750 ms, .* dt = 20 ms; use 740 or 760, or another dt"):
        make("PerceptualDecisionMaking-v0", dt=20)


def test_an_unknown_epoch_names_a_near_miss():
    with pytest.raises(ConfigError, match=r"timing.stimulos: no such epoch \(did you mean 'stimulus'\?\)"):
        make("PerceptualDecisionMaking-v0", timing={"stimulos": 100})


def test_epochs_that_are_not_given_keep_the_presets_timing():
    task = make("PerceptualDecisionMaking-v0", preset="rt", timing={"fixation": 300})
    written = task.model_dump()["timing"]
    assert (written["fixation"], written["stimulus"], written["decision"]) == (300.0, 0.0, 2000.0)
    assert type(task).model_validate(task.model_dump()) == task


@pytest.mark.parametrize("count", [1, 2, 7, 71, 3000])
def test_a_guide_finds_what_a_search_finds(count):
    weights = rng.uniforms(rng.fold(rng.root(3), count), count).double() ** 4 + 1e-7
    table = rng.Table(torch.arange(count), weights / weights.sum())
    words = rng.words(rng.root(9), 20_000)
    at_cuts = (table.cuts[:-1] << 32).repeat(2)
    at_cuts[: len(at_cuts) // 2] -= 1 << 32  # just below a cut, and on it
    for some in (words, at_cuts, torch.tensor([0, -1])):
        searched = torch.bucketize((some >> 32) & 0xFFFFFFFF, table.cuts, right=True)
        assert torch.equal(table.index(some), searched)
    assert table.index(words.reshape(40, 500)).shape == (40, 500)


def test_a_task_is_refused_by_its_model_as_well_as_by_make():
    with pytest.raises(ValidationError, match="not a multiple of dt"):
        type(make("PerceptualDecisionMaking-v0"))(dt=40)  # pyright: ignore[reportCallIssue]

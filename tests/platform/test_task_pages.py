"""What a person sees of a task: `describe`, its timeline, its picture, the gallery."""

import pytest

from metaplastic.core import ConfigError
from metaplastic.platform.describe_task import timeline
from metaplastic.platform.task_figure import one_trial, trial_figure
from metaplastic.platform.task_gallery import facts, write_gallery
from metaplastic.tasks.registry import TASKS, make


def test_a_timeline_names_epochs_with_their_times_and_marks_where_an_answer_counts():
    bar, names, times = timeline(make("PerceptualDecisionMaking-v0"))
    assert names.split() == ["epoch", "fixation", "stimulus", "decision"]  # the delay takes no time
    assert times.split() == ["ms", "750", "80-1490", "500"]
    parts = bar.split("|")[1:-1]
    assert [part[0] for part in parts] == ["-", "-", "="]
    assert len(parts[0]) > len(parts[2]) > len(parts[1])  # 750, 500 and about 390 ms


def test_a_picture_shows_the_trial_that_is_lived():
    task = make("PerceptualDecisionMaking-v0")
    shown = one_trial(task, lifetime=3)
    state, seen = task.reset(3 + shown.x.new_zeros(1).long())
    assert shown.x[0].tolist() == seen.observation[0].tolist()
    assert len(shown.x) == int(state.drawn.length)
    figure = trial_figure(task, lifetime=3)
    assert [axes.get_title(loc="left") for axes in figure.axes][1] == "wanted action"
    assert figure.axes[-1].get_xlabel() == "time (ms)"
    assert figure.axes[0].get_xlim()[1] == pytest.approx(len(shown.x) * 10)


def test_a_closed_loop_is_drawn_as_the_oracle_lives_it():
    shown = one_trial(make("TwoStep-v0"))
    assert shown.what == "done by the oracle"
    assert shown.reward is not None
    assert len(trial_figure(make("TwoStep-v0")).axes) == 3


def test_the_gallery_has_a_picture_for_every_preset(tmp_path):
    line = write_gallery(tmp_path, ["TwoStep-v0", "DelayNonMatchSample-v0", "MNISTBandit-v0"], every_preset=True)
    page = (tmp_path / "README.md").read_text()
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert pictures == [
        *(f"DelayNonMatchSample-v0-{preset}.png" for preset in ("miconi17", "miconi17_long", "miconi17_var")),
        *sorted(f"TwoStep-v0-{preset}.png" for preset in TASKS["TwoStep-v0"].presets),
    ]
    assert all(f"({name})" in page for name in pictures)
    assert f"{len(pictures)} trials" in line
    assert "Needs files" in page
    assert facts(make("DelayNonMatchSample-v0").spec) in page


def test_the_gallery_shows_a_task_once_and_names_its_presets(tmp_path):
    assert "1 trials" in write_gallery(tmp_path, ["TwoStep-v0"])
    page = (tmp_path / "README.md").read_text()
    first, *others = TASKS["TwoStep-v0"].presets
    assert [path.name for path in tmp_path.glob("*.png")] == [f"TwoStep-v0-{first}.png"]
    assert all(f"`{preset}`" in page for preset in (first, *others))


def test_an_unknown_task_in_the_gallery_is_named(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'TwoStep-v0'"):
        write_gallery(tmp_path, ["TwoSteps-v0"])

"""What a task is, in lines for a terminal: channels, answers, epochs as a drawn timeline, rewards, scores, presets."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group
from rich.table import Table
from rich.text import Text

from metaplastic.core import ConfigError, Task, TaskSpec
from metaplastic.tasks.epoch_times import EpochTimes

WIDTH = 72
"""characters of a drawn timeline"""
ANSWERS = {
    "each": "every step is a decision, paid at once",
    "choice": "an action at every step, the first waits; the first answer in time is judged",
    "readout": "continuous outputs, judged at the trial's end",
    "act": "an action at every step, which changes what is seen next",
    "control": "outputs in [-1, 1] at every step, which change what is seen next",
}


def task_facts(cls: type[Task]) -> Group:
    """Everything about a task by default, and a line for each of its presets."""
    task = _example(cls)
    try:
        lines = list(_facts(task.spec))
    except AttributeError:  # what is not given decides all else
        return Group(Text(""), Text(f"all else follows from {' and '.join(not_given(cls))}"))
    if isinstance(task, EpochTimes):
        lines += ["", *timeline(task)]
    return Group(Text(""), *(Text(line) for line in lines), *_presets(cls))


def not_given(cls: type[Task]) -> list[str]:
    """The fields without a default, without which there is no such task: the task inside a wrapper, for instance."""
    return [name for name, field in cls.model_fields.items() if field.is_required()]


def _example(cls: type[Task]) -> Task:
    """The task as it is by default, also where a folder of data is still to be named."""
    try:
        return cls()  # pyright: ignore[reportCallIssue]
    except ValueError:
        return cls.model_construct()


def _facts(spec: TaskSpec) -> Iterator[str]:
    channels = ", ".join(f"{name} [{first}, {end})" for name, (first, end) in spec.channels.items())
    kind = "outputs" if spec.response in ("readout", "control") else "actions"
    names = (
        f": {', '.join(f'{i} {name}' for i, name in enumerate(spec.action_names[:12]))}" if spec.action_names else ""
    )
    more = " …" if len(spec.action_names) > 12 else ""
    low, high = spec.reward_range
    oracle = "" if spec.oracle is None else f", oracle {spec.oracle:.4g}"
    yield f"observation  {spec.observations} channels: {channels}"
    yield f"answer       {spec.response}: {ANSWERS[spec.response]}"
    yield f"{kind:12} {spec.actions}{names}{more}"
    yield f"trial        at most {spec.trial_steps} steps of {spec.dt:g} ms, {spec.trial_types} trial types"
    yield f"reward       {low:g} to {high:g} a step"
    yield f"score        chance {spec.chance:.4g}, criterion {spec.criterion:.4g}, ceiling {spec.ceiling:.4g}{oracle}"
    for statistic, threshold in spec.criteria:
        yield f"published    {statistic} at least {threshold:g}"


def timeline(task: EpochTimes) -> Iterator[str]:
    """The epochs in a row, as long as they last on average; `=` where an answer counts."""
    means = [task.timing[name].ends(task.dt)[2] * task.dt if name in task.timing else 0.0 for name in task.epochs]
    total = sum(means) or 1.0
    bar, names, times = "|", " ", " "
    for name, mean in zip(task.epochs, means, strict=True):
        if not mean:
            continue
        fewest, most, _ = task.timing[name].ends(task.dt)
        low, high = fewest * task.dt, most * task.dt
        time = f"{low:g}" if low == high else f"{low:g}-{high:g}"
        width = max(round(WIDTH * mean / total), len(name) + 1, len(time) + 1)
        bar += ("=" if name in task.responses else "-") * width + "|"
        names += name.ljust(width) + " "
        times += time.ljust(width) + " "
    yield from (f"timeline     {bar}", f"epoch        {names.rstrip()}", f"ms           {times.rstrip()}")


def _presets(cls: type[Task]) -> list[Text | Table]:
    presets = getattr(cls, "presets", {})
    if not presets:
        return []
    table = Table("preset", "inputs", "actions", "chance", "criterion", "ceiling", "settings", box=None, pad_edge=False)
    for name, settings in presets.items():
        try:
            spec = cls.model_validate({"preset": name}).spec
        except (ConfigError, ValueError):
            table.add_row(name, "", "", "", "", "", "needs files of yours")
            continue
        scores = [f"{value:.3g}" for value in (spec.chance, spec.criterion, spec.ceiling)]
        shown = ", ".join(f"{key} {_short(value)}" for key, value in settings.items())
        table.add_row(name, str(spec.observations), str(spec.actions), *scores, Text(shown))
    return [Text(""), table]


def _short(value: object) -> str:
    text = str(dict(value)) if hasattr(value, "items") else str(value)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return text if len(text) < 60 else f"{text[:57]}…"

"""The gallery of tasks: a page with one trial of every id, or of every preset, as a picture, and what scores mean."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from metaplastic.core import ConfigError, TaskSpec
from metaplastic.platform.figure_style import styled
from metaplastic.platform.task_figure import trial_figure
from metaplastic.tasks.base import TensorTask
from metaplastic.tasks.registry import TASKS, make

HEAD = """# The tasks

One trial of every task, drawn by `metaplastic gallery docs/tasks`. What is shown to a network (dark: high), what is
wanted of it or what an oracle did, and what that paid. Chance is what the random policy scores, the ceiling what an
ideal observer could, the oracle knows what is hidden; the criterion says from where a task counts as learned.
`metaplastic describe ID` tells the rest: equation, settings, sources.
"""


def write_gallery(folder: Path, names: list[str] | None = None, *, every_preset: bool = False) -> str:
    """The page `README.md` and its pictures in `folder`; one line that says so.

    Tasks are drawn with their first preset, the others are named; `every_preset` draws them as well.

    Raises:
        ConfigError: if a name is no task's id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sections, drawn = [HEAD], 0
    for id in names or list(TASKS):
        for preset in presets_of(id)[: None if every_preset else 1]:
            task = without_files(id, preset)
            if task is None:
                sections.append(f"## {id}\n\nNeeds files of the user's (`data_root`).\n")
                continue
            picture = folder / f"{id}{f'-{preset}' if preset else ''}.png"
            _save(task, picture)
            sections.append("\n".join(section(id, preset, task, picture.name)))
            drawn += 1
    page = folder / "README.md"
    page.write_text("\n".join(sections), encoding="utf-8")
    return f"gallery: {drawn} trials drawn in {page}"


def presets_of(id: str) -> tuple[str | None, ...]:
    """The presets of a task; (None,) if it has none."""
    if id not in TASKS:
        make(id)  # says what is wrong with the name
    return tuple(TASKS[id].presets) or (None,)


def without_files(id: str, preset: str | None) -> TensorTask | None:
    """The task, or None if it cannot be made without files of the user's."""
    try:
        return make(id, preset=preset)
    except ConfigError as why:
        if "data_root" in str(why):
            return None
        raise


def section(id: str, preset: str | None, task: TensorTask, picture: str) -> Iterator[str]:
    """The lines of one task or preset."""
    first = preset is None or preset == next(iter(TASKS[id].presets))
    if first:
        summary = (inspect.getdoc(type(task)) or "").split("\n")[0]
        presets = f" Presets: {', '.join(f'`{name}`' for name in TASKS[id].presets)}." if preset else ""
        yield f"## {id}\n\n{summary}\n\nTags: {', '.join(task.tags)}.{presets}\n"
        yield "".join(f"{reference}  \n" for reference in task.references)
    if preset:
        yield f"### {id}, `{preset}`\n"
    yield f"{facts(task.spec)}\n\n![one trial of {id}{f', {preset}' if preset else ''}]({picture})\n"


def facts(spec: TaskSpec) -> str:
    """Numbers of a spec in one line."""
    oracle = "" if spec.oracle is None else f", oracle {spec.oracle:.3g}"
    time = f"at most {spec.trial_steps} steps of {spec.dt:g} ms" if spec.trial_steps > 1 else "one step a trial"
    return (
        f"{spec.response}; {spec.observations} inputs, {spec.actions} "
        f"{'outputs' if spec.response in ('readout', 'control') else 'actions'}, {time}. "
        f"Chance {spec.chance:.3g}, criterion {spec.criterion:.3g}, ceiling {spec.ceiling:.3g}{oracle}."
    )


@styled
def _save(task: TensorTask, picture: Path) -> None:
    figure = trial_figure(task)
    figure.savefig(picture, format="png", dpi=100, metadata={"Software": None})

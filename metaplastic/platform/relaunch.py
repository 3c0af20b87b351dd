"""A search that may be started again and again with the same words, as clusters do after an interruption.

The first start makes the run; a later one goes on from its last checkpoint, after a look at whether the run is of this
experiment: how the lifetimes are computed, who is told and how many generations there are may differ, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metaplastic.core import ConfigError
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.experiment_file import dump, load, to_dict
from metaplastic.platform.finish import Outcome
from metaplastic.platform.run import EXPERIMENT, RunDirectory
from metaplastic.platform.search import resume, search

MAY_DIFFER = ("execution", "tracking", "generations", "notes")
"""settings that a run may be continued with although it was begun with others"""


def search_or_resume(experiment: Experiment, out: Path | None, command: Sequence[str] | None = None) -> Outcome:
    """Search into `out`, or go on with the run that is there.

    Raises:
        ConfigError: if the run there is of another experiment.
    """
    if out is None or not (out / EXPERIMENT).is_file():
        return search(experiment, out, command)
    begun = to_dict(load(out / EXPERIMENT))
    wanted = to_dict(experiment)
    changed = [name for name in wanted if name not in MAY_DIFFER and wanted[name] != begun[name]]
    if changed:
        raise ConfigError(
            f"out is {out}, a run of another experiment (they differ in {', '.join(changed)}); choose another --out, "
            f"or go on with the run as it is by `metaplastic resume {out}`"
        )
    RunDirectory.open(out).write_experiment(dump(experiment, out))
    return resume(out)

"""An experiment: network, rule, objective, task, how it is searched and how it is run. One frozen tree of values.

The same tree is written in YAML (`experiment_file.py`) or built in Python; every part is validated where it is made.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from metaplastic.core import Choice, Component, Layout, Numbers, Value, wrong
from metaplastic.outer_loop.genome import Path, dotted, replace
from metaplastic.platform.catalog import slot
from metaplastic.platform.faults import Patience


class Fitness(Value):
    """One objective of evolution: a metric of a lifetime, averaged over the individual's lifetimes."""

    metric: str = "score"
    """`score` (test trials), `learning_score` (mean of the learning curve), or any other metric of the record"""
    goal: Literal["maximise", "minimise"] = "maximise"
    """direction; inside the platform everything is maximised"""


class Execution(Value):
    """Where and how the lifetimes are computed; nothing here changes a result."""

    workers: Annotated[int, Field(ge=0)] = 0
    """Ray actors; 0 computes in this process"""
    chunk: Annotated[int, Field(ge=1)] = 16
    """individuals in one piece of work; independent of the number of workers"""
    backend: Literal["auto", "torch", "numba", "triton"] = "auto"
    """which kernel; auto takes torch or numba, the faster that can do the rule. triton: whole trials on a GPU"""
    device: str = "cpu"
    """torch device of the lifetimes"""
    cpus: Annotated[float, Field(gt=0)] = 1.0
    """CPUs that each Ray actor reserves"""
    gpus: Annotated[float, Field(ge=0)] = 0.0
    """GPUs that each Ray actor reserves; 0.25: four share one. With device: cuda, an actor sees its own alone"""
    address: str | None = None
    """Ray cluster to join; a cluster of our own on this machine if absent"""
    on_failure: Literal["count", "raise"] = "count"
    """count: an individual that cannot be scored is the worst and set apart; raise: the first one stops the run"""
    attempts: Annotated[int, Field(ge=1)] = 3
    """Ray actors that a chunk may cost before it is cut in two to find the individual at fault"""
    patience: Patience = Patience()
    """how long a Ray actor may be silent before it is killed and its work done again"""
    placement: Annotated[float, Field(gt=0)] = 300.0
    """seconds to wait for room for a first Ray actor"""
    keep: Annotated[int, Field(ge=1)] = 2
    """newest checkpoints that are kept, beside the first with the best fitness so far"""


class Tracking(Value):
    """Weights & Biases. Its absence or failure never stops a run; metrics.jsonl is the truth."""

    wandb: Literal["offline", "online", "disabled"] = "offline"
    """offline writes files that `wandb sync` uploads later"""
    project: str = "metaplastic"
    """W&B project"""
    group: str | None = None
    """W&B group"""


class Control(Value):
    """What the champion is compared with: the same experiment with some components in others' places."""

    role: Literal["control", "ceiling"] = "control"
    """ceiling: it may know more than the champion (labels, say), and shows what could be reached"""
    network: Annotated[Any, slot("network")] | None = None
    rule: Annotated[Any, slot("rule")] | None = None
    objective: Annotated[Any, slot("objective")] | None = None
    policy: Annotated[Any, slot("policy")] | None = None
    critic: Annotated[Any, slot("critic")] | None = None


class Comparison(Value):
    """The trial of the champion, on material that the search has not seen (`Task.held_out`)."""

    lifetimes: Annotated[int, Field(ge=2)] = 32
    """fresh lives of each control and of the champion"""
    controls: dict[str, Control] = Field(default_factory=dict)
    """further controls, by the name that reports show; plasticity off and the starting rule are always there"""


class Experiment(Value):
    """Everything that defines a search or a lifetime."""

    name: str
    """short name; runs are named after it"""
    notes: str = ""
    """what it is for"""
    seed: int = 0
    """all randomness follows from it"""
    task: Annotated[Any, slot("task")]
    """the world"""
    network: Annotated[Any, slot("network")]
    """the architecture"""
    rule: Annotated[Any, slot("rule")]
    """how weights change"""
    objective: Annotated[Any, slot("objective")] = Field(default={"kind": "reward"}, validate_default=True)
    """what drives the rule during life"""
    policy: Annotated[Any, slot("policy")] = Field(default={"kind": "greedy"}, validate_default=True)
    """how outputs become actions (tasks of one-step decisions)"""
    critic: Annotated[Any, slot("critic")] = Field(default={"kind": "running_average"}, validate_default=True)
    """what reward was expected"""
    lifetimes: Annotated[int, Field(ge=1)] = 4
    """L, lives of each individual; their mean counts"""
    fitness: tuple[Fitness, ...] = (Fitness(),)
    """K objectives of evolution, in order; the first is what reports sort by"""
    search: Annotated[Any, slot("searcher")] | None = None
    """how evolution proposes genomes; absent: an experiment to live, not to search"""
    generations: Annotated[int, Field(ge=1)] = 20
    """length of the search"""
    comparison: Comparison = Comparison()
    """how the champion is judged at the end"""
    execution: Execution = Execution()
    """where it runs"""
    tracking: Tracking = Tracking()
    """who is told"""

    @model_validator(mode="after")
    def _fits_together(self) -> Experiment:
        if not self.fitness:
            raise wrong("fitness is empty, wanted at least one metric")
        for task in options(self.task):
            for network in options(self.network):
                for rule in options(self.rule):
                    _check_reads(task, network, rule)
                    for objective in options(self.objective):
                        if why := rule.misfit(objective, task):
                            raise wrong(why)
        replace(self, self._check_length)
        return self

    def _check_length(self, path: Path, node: Any) -> Any:
        if isinstance(node, Numbers) and len(node.values) != self.layout().length(node.per):
            raise wrong(
                f"{dotted(path)}: has {len(node.values)} values, wanted {self.layout().length(node.per)}: "
                f"one per {node.per} of the groups {', '.join(c.name for c in self.layout().connections)}"
            )
        return node

    def objectives(self) -> list[str]:
        """One name an objective of evolution, as records show it: `score`, `-activity` for one that is minimised."""
        return [aim.metric if aim.goal == "maximise" else f"-{aim.metric}" for aim in self.fitness]

    def layout(self) -> Layout:
        """The connection groups that a gene can be spread over; needs one layout whatever the choices."""
        layouts = {n.layout(t.spec) for t in options(self.task) for n in options(self.network)}
        if len(layouts) > 1:
            raise wrong(
                "a gene with `per` finer than brain needs one layout of synapses, but the choices of network give "
                f"{len(layouts)}; use per: brain or a single network"
            )
        return layouts.pop()


def options(part: Any) -> list[Any]:
    """The components that may stand in a place."""
    return [one for option in part.options for one in options(option)] if isinstance(part, Choice) else [part]


def _check_reads(task: Component, network: Any, rule: Any) -> None:
    """Refuse a rule that reads what this network cannot tell a synapse, and a network that cannot do this task."""
    if not getattr(task, "pure", True):
        raise wrong(
            f"task {task.kind} runs outside of tensors, where networks do not live; drive it in Python by its "
            "`reset` and `step`, or wrap what you need as a task of your own (docs/tasks.md)"
        )
    response = task.spec.response  # pyright: ignore[reportAttributeAccessIssue]
    if response not in network.responses:
        raise wrong(
            f"task {task.kind} is answered by '{response}', which network {network.kind} cannot do "
            f"(it does {', '.join(network.responses)})"
        )
    if rule.networks and network.kind not in rule.networks:
        raise wrong(
            f"rule {rule.kind} changes networks of kind {', '.join(rule.networks)}, and this one is {network.kind}"
        )
    missing = sorted(rule.reads() - network.signals)
    if missing:
        raise wrong(
            f"rule {rule.kind} reads {', '.join(missing)}, which network {network.kind} does not give; "
            f"it gives {', '.join(sorted(network.signals))}"
        )

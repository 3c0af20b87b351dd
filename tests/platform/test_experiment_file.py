"""Experiment files: exact round trips, and one clear line for each mistake."""

import io
import json

import pytest
import torch
import yaml
from safetensors.torch import save_file
from small_search import small, small_file

from metaplastic.core import Array, ConfigError, Gene
from metaplastic.platform.catalog import ROOMS, room
from metaplastic.platform.describe import describe_all, describe_kind, genome_table, schema_text
from metaplastic.platform.experiment import Experiment
from metaplastic.platform.experiment_file import dump, load
from metaplastic.tasks.registry import WRAPPERS

NEEDED = {
    "formula": {"update": "eta * pre * post", "parameters": {"eta": 0.1}},
    "mixture": {"terms": [{"kind": "reward"}, {"kind": "energy", "weight": 0.1}]},
    **{kind: {"task": {"kind": "PerceptualDecisionMaking-v0"}} for kind in WRAPPERS},
    "GymnasiumTask": {"environment": "CartPole-v1"},
    "NeuroGymTask": {"environment": "GoNogo-v0"},
    "TaskSet": {"tasks": [{"kind": "Bandit-v0"}, {"kind": "DigitsBandit-v0"}], "schedule": "blocked"},
    "ActionNoise": {"task": {"kind": "PerceptualDecisionMaking-v0"}, "slip": 0.1},
    "map_elites": {"measures": [{"metric": "activity", "low": 0, "high": 1}]},
}
"""settings without a default"""
FILES = {"MNISTBandit-v0"}
"""kinds that need files of the user's"""

KINDS = [(what, kind) for what in ROOMS for kind in room(what) if kind not in FILES]


def text_of(table) -> str:
    from rich.console import Console

    file = io.StringIO()
    Console(width=300, file=file).print(table)
    return file.getvalue()


@pytest.mark.parametrize(("what", "kind"), KINDS)
def test_every_component_is_written_and_read_back_exactly(what, kind):
    cls = room(what)[kind]
    component = cls.model_validate({"kind": kind, **NEEDED.get(kind, {})})
    again = cls.model_validate(
        yaml.safe_load(yaml.safe_dump(json.loads(json.dumps(component.model_dump(), default=str))))
    )
    assert component.model_dump() == again.model_dump()
    assert component == again


def test_an_experiment_survives_file_object_file_object(tmp_path):
    first = load(small_file(tmp_path))
    (tmp_path / "again.yaml").write_text(dump(first, tmp_path))
    second = load(tmp_path / "again.yaml")
    assert first == second
    assert dump(first, tmp_path) == dump(second, tmp_path)


def test_the_same_tree_is_built_in_python():
    from metaplastic.inner_loop.networks.feedforward import Feedforward
    from metaplastic.inner_loop.policies import EpsilonGreedy
    from metaplastic.inner_loop.rules.formula_rule import FormulaRule
    from metaplastic.outer_loop.searchers import SEARCHERS
    from metaplastic.platform.experiment import Comparison, Control, Execution, Tracking
    from metaplastic.tasks.registry import make

    built = Experiment(
        name="small",
        seed=3,
        task=make("Bandit-v0", trials=7, test_trials=5, feedback=False),
        network=Feedforward(units=Gene(2, 11)),
        rule=FormulaRule(
            update="eta * rpe * feedback * pre + b * post", parameters={"eta": Gene(0.01, 1, log=True), "b": 0.0}
        ),
        policy=EpsilonGreedy(epsilon=Gene(0, 1)),
        lifetimes=3,
        search=SEARCHERS["snes"](population=7),
        generations=4,
        comparison=Comparison(
            lifetimes=3, controls={"softmax": Control.model_validate({"policy": {"kind": "softmax"}})}
        ),
        execution=Execution(backend="torch", chunk=3),
        tracking=Tracking(wandb="disabled"),
    )
    assert built == small()


def test_arrays_are_found_beside_the_file_and_written_relative(tmp_path):
    save_file({"w": torch.zeros(44)}, tmp_path / "innate.safetensors")
    words = ["network.units=3", "network.initial_weights={array: innate.safetensors, name: w}"]
    experiment = load(small_file(tmp_path), words)
    assert experiment.network.initial_weights == Array(file=str(tmp_path / "innate.safetensors"), name="w")
    assert "array: innate.safetensors" in dump(experiment, tmp_path)


def test_overrides_reach_any_place_and_are_read_as_yaml():
    experiment = small("search.population=64", "fitness[0].metric=learning_score", "rule.parameters.b={gene: [-1, 1]}")
    assert experiment.search.population == 64
    assert experiment.fitness[0].metric == "learning_score"
    assert experiment.rule.parameters["b"] == Gene(-1, 1)


MISTAKES = {
    "network.unit=3": "network.unit: no such setting (did you mean 'units'?)",
    "network.units=many": "network.units: is 'many', wanted a whole number in [1, 4096]",
    "network.units=0": "network.units: is 0, wanted a whole number in [1, 4096]",
    "network.units={gene: [9, 2]}": "network.units: gene is [9, 2], wanted two finite numbers, the smaller first",
    "network.kind=feedforwad": "network: kind is 'feedforwad', no such network (did you mean 'feedforward'?)",
    "network.activation=rellu": "network.activation: is 'rellu', wanted one of",
    "task.kind=Bandits-v0": "did you mean 'Bandit-v0'?",
    "task=3": "task: is 3, wanted a mapping with a kind",
    "generations=0": "generations: is 0; input should be greater than or equal to 1",
    "lifetimes=a few": "lifetimes: is 'a few'; input should be a valid integer",
    "executoin.chunk=3": "executoin: no such setting (did you mean 'execution'?)",
    "rule.update=eta * prs": "did you mean 'pre'?",
    "rule.update=noise * pre * eta * b": "rule formula reads noise, which network feedforward does not give",
    "network.kind=rate_rnn": "task Bandit-v0 is answered by 'each', which network rate_rnn cannot do",
    "search.population=1": "search.population: is 1, wanted",
    "rule.kind=mylab.rules:Mine": "mylab.rules cannot be imported",
    "fitness=[]": "fitness is empty, wanted at least one metric",
}


@pytest.mark.parametrize("word", MISTAKES)
def test_a_mistake_gets_one_line_that_names_the_place_and_the_mend(word):
    with pytest.raises(ConfigError) as error:
        small(word)
    assert MISTAKES[word] in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "line 1"),
        ("name: a\nname: b", "'name' is given twice"),
        ("just words", "holds 'just words', wanted a mapping"),
        ("name: only", "task: is not given, and there is no default"),
    ],
)
def test_a_broken_file_is_told_by_file_and_place(tmp_path, text, message):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"broken.yaml.*{message}"):
        load(path)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="no such experiment file"):
        load(tmp_path / "none.yaml")


def test_a_missing_data_file_names_the_folder_and_what_was_wanted(tmp_path):
    with pytest.raises(ConfigError) as error:
        small("task={kind: MNISTBandit-v0, data_root: " + str(tmp_path) + "}")
    assert str(tmp_path) in str(error.value)
    assert "train-images-idx3-ubyte" in str(error.value)


@pytest.mark.parametrize(("what", "kind"), [*((w, k) for w in ROOMS for k in room(w)), ("experiment", "experiment")])
def test_every_kind_describes_its_fields(what, kind):
    text = text_of(describe_kind(kind))
    cls = Experiment if kind == "experiment" else room(what)[kind]
    for name, field in cls.model_fields.items():
        if name != "kind":
            assert name in text
            assert field.description, f"{kind}.{name} has no text under it"


def test_describe_lists_every_kind_and_genome_every_gene():
    text = text_of(describe_all())
    assert all(kind in text for _, kind in KINDS)
    text = text_of(genome_table(small()))
    assert "network.units" in text
    assert "rule.parameters.eta" in text
    assert "3 genes, 3 numbers" in text


def test_the_schema_for_editors_knows_every_kind():
    schema = schema_text()
    json.loads(schema)
    assert all(f'"{kind}"' in schema for what, kind in KINDS)

"""The commands, as a user runs them: exit codes, one line for a mistake, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest
from small_search import small_file
from typer.testing import CliRunner

from metaplastic.cli import app, main


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process; (exit code, standard output, standard error)."""

    def go(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["metaplastic", *words])
        monkeypatch.setattr(sys, "path", list(sys.path))
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        out = capsys.readouterr()
        return code, out.out, out.err

    return go


def test_help_names_every_command():
    text = CliRunner().invoke(app, ["--help"]).output
    for command in ("search", "resume", "launch", "live", "genome", "describe", "schema", "report", "check", "tasks"):
        assert command in text


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nimport metaplastic.cli\nprint(*(set(sys.modules) & {'torch', 'ray', 'sympy', 'wandb', 'sklearn'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_search_resume_live_and_report_in_a_row(run, tmp_path):
    file, place = small_file(tmp_path), tmp_path / "run"
    code, out, err = run("search", str(file), "generations=2", "--out", str(place))
    assert code == 0
    assert out.splitlines()[0].startswith("champion ")
    assert out.splitlines()[-1] == f"report: {place / 'report.html'}"
    assert sum("generation" in line for line in err.splitlines()) == 2
    assert run("resume", str(place), "--generations", "3")[0] == 0
    assert run("report", str(place))[1].strip() == f"report: {place / 'report.html'}"
    code, out, _ = run("live", str(place), "--record", "action,reward", "--out", str(tmp_path / "life"), "--held-out")
    assert code == 0
    assert "score" in out


PLAIN = ["network.units=3", "rule.parameters.eta=0.1", "policy.epsilon=0"]
MISTAKES = [
    (["search", "{file}", "network.unit=3"], "network.unit: no such setting (did you mean 'units'?)"),
    (["search", "{file}", "search.population=few"], "search.population: is 'few', wanted a whole number"),
    (["search", "none.yaml"], "none.yaml: no such experiment file"),
    (["resume", "{folder}"], "is no run"),
    (["live", "{file}"], "has genes (network.units"),
    (["live", "{file}", *PLAIN, "--record", "acton"], "did you mean 'action'?"),
    (["describe", "feedforwad"], "did you mean 'feedforward'?"),
    (["check", "Bandit-v9"], "did you mean 'Bandit-v0'?"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[message[:30] for _, message in MISTAKES])
def test_a_mistake_is_one_line_and_exit_code_2(run, tmp_path, words, message):
    file = small_file(tmp_path)
    code, _, err = run(*(word.format(file=file, folder=tmp_path) for word in words))
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small.yaml"]


def test_genome_describe_schema_tasks_and_check_print(run, tmp_path):
    file = str(small_file(tmp_path))
    assert "rule.parameters.eta" in run("genome", file)[1]
    assert "Any local rule" in run("describe", "formula")[1]
    assert "Bandit-v0" in run("tasks")[1]
    assert "DigitsBandit-v0" not in run("tasks", "--tag", "memory")[1]
    assert "keeps the contract" in run("check", "Bandit-v0")[1]
    assert run("schema", "--out", str(tmp_path / "schema.json"))[0] == 0
    assert (tmp_path / "schema.json").read_text().startswith("{")


def test_a_task_of_ones_own_is_found_from_the_working_folder(run, tmp_path, monkeypatch):
    (tmp_path / "mylab.py").write_text(
        "from typing import Literal\n"
        "from metaplastic.tasks.bandits.independent import Bandit\n"
        "class Mine(Bandit):\n"
        "    kind: Literal['mylab:Mine'] = 'mylab:Mine'\n"
    )
    monkeypatch.chdir(tmp_path)
    assert "Mine" in run("describe", "mylab:Mine")[1]
    code, out, _ = run("search", str(small_file(tmp_path)), "task.kind=mylab:Mine", "generations=1", "--out", "run")
    assert code == 0
    assert Path("run/champion.yaml").exists()
    assert out.startswith("champion")

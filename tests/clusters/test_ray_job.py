"""Ray Jobs: what is shipped and what never is, whom it is sent to, and with what token."""

from pathlib import Path

import pytest
import yaml
from launch_orders import description, is_golden, order

import metaplastic
from metaplastic.clusters import ray_job
from metaplastic.settings import ConfigError

PLAIN = {"run_dir": "/data/digits", "ray_job": {"address": "http://127.0.0.1:8265"}}


def test_the_runtime_environment_and_the_command_are_as_they_were():
    plan = ray_job.plan(description(**PLAIN, env={"A": "it's"}), order("rule.update=eta * pre"), {})
    is_golden("runtime_env.yaml", plan.show())
    (command,) = plan.commands
    assert command[:8] == (
        "ray",
        "job",
        "submit",
        "--address",
        "http://127.0.0.1:8265",
        "--no-wait",
        "--runtime-env",
        "runtime_env.yaml",
    )
    assert command[8:13] == ("--", "python", "-m", "metaplastic", "search")
    assert command[13] == "digits.yaml"
    assert "rule.update=eta * pre" in command


def test_the_users_ray_address_is_taken_where_none_is_given():
    wanted = description(run_dir="/data/digits")
    plan = ray_job.plan(wanted, order(), {"RAY_ADDRESS": "https://ray.lab:8265"})
    assert "https://ray.lab:8265" in plan.commands[0]
    assert plan.environment == {"RAY_AUTH_MODE": "token", "RAY_API_SERVER_ADDRESS": "https://ray.lab:8265"}
    own = ray_job.plan(description(**PLAIN), order(), {"RAY_ADDRESS": "https://ray.lab:8265"})
    assert own.environment["RAY_API_SERVER_ADDRESS"] == "http://127.0.0.1:8265"


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "ray_job.address: is not given, wanted the cluster's Jobs server by --address or RAY_ADDRESS"),
        (
            {"RAY_ADDRESS": "10.0.0.7:6379"},
            "RAY_ADDRESS: address: is '10.0.0.7:6379', wanted the Jobs server's address",
        ),
        (
            {"RAY_ADDRESS": "http://10.0.0.7:8265"},
            "RAY_ADDRESS: address is 'http://10.0.0.7:8265', where all could read",
        ),
    ],
)
def test_an_address_that_will_not_do_is_told(environment, message):
    with pytest.raises(ConfigError) as error:
        ray_job.plan(description(run_dir="/data/digits"), order(), environment)
    assert message in str(error.value)


@pytest.mark.parametrize("folder", [Path(metaplastic.__file__).parent, Path(metaplastic.__file__).parent / "tasks"])
def test_the_package_folder_is_never_shipped(folder):
    with pytest.raises(ConfigError, match=r"hides Python's own 'platform' and every worker dies; ship "):
        ray_job.plan(description(**PLAIN), order(folder=str(folder)), {})


def test_the_repository_is_shipped(tmp_path):
    root = Path(metaplastic.__file__).parents[1]
    assert ray_job.runtime_env(description(**PLAIN), root)["working_dir"] == str(root)
    (tmp_path / "metaplastic").mkdir()  # a folder of that name that is no package
    assert ray_job.runtime_env(description(**PLAIN), tmp_path / "metaplastic")


def test_an_experiment_outside_of_what_is_shipped_is_refused():
    wanted = description(run_dir="/data/d", ray_job={**PLAIN["ray_job"], "folder": "/shared/other"})
    with pytest.raises(ConfigError, match=r"/shared/lab/digits\.yaml: lies outside of /shared/other"):
        ray_job.plan(wanted, order(), {})


def test_a_wheel_is_installed_for_the_job(tmp_path):
    wanted = description(
        run_dir="/data/d", ray_job={**PLAIN["ray_job"], "wheel": "dist/metaplastic-0.1.0-py3-none-any.whl"}
    )
    with pytest.raises(ConfigError, match=r"there is no wheel .* make one by `make wheel`"):
        ray_job.plan(wanted, order(folder=str(tmp_path)), {})
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "metaplastic-0.1.0-py3-none-any.whl").touch()
    plan = ray_job.plan(wanted, order(folder=str(tmp_path)), {})
    environment = yaml.safe_load(plan.files["runtime_env.yaml"])
    assert environment["pip"] == ["${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}/dist/metaplastic-0.1.0-py3-none-any.whl"]


def test_ray_accepts_the_runtime_environment(tmp_path):
    from ray.runtime_env import RuntimeEnv

    (tmp_path / "m.whl").touch()
    wanted = description(run_dir="/data/d", ray_job={**PLAIN["ray_job"], "wheel": "m.whl"})
    environment = RuntimeEnv(**ray_job.runtime_env(wanted, tmp_path))
    assert environment["working_dir"] == str(tmp_path)


def test_the_clusters_python_can_be_another():
    wanted = description(run_dir="/data/d", ray_job={**PLAIN["ray_job"], "python": "/opt/lab/bin/python"})
    assert "/opt/lab/bin/python" in ray_job.plan(wanted, order(), {}).commands[0]


def test_a_run_directory_must_be_said():
    with pytest.raises(ConfigError, match="run_dir: is not given, wanted a folder that the cluster's head sees"):
        ray_job.plan(description(ray_job=PLAIN["ray_job"]), order(), {})


def test_a_token_that_is_not_there_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"ray_job\.auth: is token, but there is none"):
        ray_job.check_here(description(**PLAIN), {})
    ray_job.check_here(description(**PLAIN), {"RAY_AUTH_TOKEN_PATH": "/somewhere"})
    ray_job.check_here(description(ray_job={"auth": "disabled"}), {})
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("x")
    ray_job.check_here(description(**PLAIN), {})

"""Cluster files of AWS and GCP: their text, Ray's own validator, the token, and what is switched off at the end."""

import subprocess
from pathlib import Path

import pytest
import yaml
from launch_orders import AWS, GCP, description, is_golden, order, shellcheck

from metaplastic.clusters import cloud
from metaplastic.settings import ConfigError

HERE = Path("/home/me/launches/digits")
RUN = {"nodes": 2, "hours": 6, "run_dir": "/home/ubuntu/runs/digits"}
SPOT = {
    **RUN,
    "cloud": {**AWS, "spot": True, "region": "eu-central-1", "zone": "eu-central-1b", "head_machine": "t3.large"},
}
GPUS = {
    **RUN,
    "gpus": 1,
    "cloud": {**GCP, "machine": "g2-standard-8", "spot": True, "stop": False},
    "env": {"A": "it's"},
}


@pytest.mark.parametrize(("name", "settings"), [("cluster_aws", SPOT), ("cluster_gcp", GPUS)])
def test_the_files_are_as_they_were(name, settings):
    plan = cloud.plan(description(**settings), order(), HERE)
    is_golden(f"{name}.yaml", plan.files["cluster.yaml"])
    is_golden(f"{name}_start.sh", plan.files["start.sh"])
    assert plan.files["experiment.yaml"] == order().resolved


@pytest.mark.parametrize("settings", [SPOT, GPUS, {**RUN, "cloud": AWS}, {**RUN, "cloud": GCP}])
def test_rays_own_validator_finds_no_fault(settings, monkeypatch):
    from ray.autoscaler._private import util

    config = cloud.cluster(description(**settings), order(), HERE)
    ready = util.prepare_config(yaml.safe_load(yaml.safe_dump(config)))
    util.validate_config(ready)
    with pytest.raises(Exception, match="Additional properties"):
        util.validate_config({**ready, "max_worker": 2})


@pytest.mark.parametrize("settings", [SPOT, GPUS])
def test_shells_find_no_fault(settings, tmp_path):
    (tmp_path / "start.sh").write_text(cloud.start_script(description(**settings), order()))
    subprocess.run(["bash", "-n", tmp_path / "start.sh"], check=True)
    if shellcheck():
        subprocess.run([shellcheck(), tmp_path / "start.sh"], check=True)
    for lines in ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        for line in cloud.cluster(description(**settings), order(), HERE)[lines]:
            subprocess.run(["bash", "-n", "-c", line], check=True)


def test_ray_is_closed_on_every_node():
    config = cloud.cluster(description(**SPOT), order(), HERE)
    for line in (*config["head_start_ray_commands"], *config["worker_start_ray_commands"]):
        assert "RAY_AUTH_MODE=token" in line
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][0]
    assert config["file_mounts"]["~/.ray/auth_token"] == str(HERE / "token")
    assert "RAY_AUTH_MODE=token" in cloud.start_script(description(**SPOT), order())


def test_the_token_is_made_when_the_plan_is_carried_out_and_is_nowhere_else(tmp_path):
    from metaplastic.clusters.plan import write_token

    plan = cloud.plan(description(**SPOT), order(), tmp_path)
    assert plan.token
    assert not [path for path in plan.write(tmp_path) if path.name == "token"]
    write_token(tmp_path / "token")
    token = (tmp_path / "token").read_text()
    assert len(token) == 64
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    write_token(tmp_path / "token")
    assert (tmp_path / "token").read_text() == token  # a cluster may know it
    assert token not in plan.show()


def test_spot_machines_are_workers_and_never_the_head():
    aws = cloud.cluster(description(**SPOT), order(), HERE)["available_node_types"]
    assert "InstanceMarketOptions" in aws["worker"]["node_config"]
    assert "InstanceMarketOptions" not in aws["head"]["node_config"]
    gcp = cloud.cluster(description(**GPUS), order(), HERE)["available_node_types"]
    assert gcp["worker"]["node_config"]["scheduling"]["preemptible"] is True
    assert "scheduling" not in gcp["head"]["node_config"]


def test_what_costs_money_is_switched_off_unless_told_otherwise():
    assert cloud.start_script(description(**SPOT), order()).endswith("--workers-only\nsudo shutdown -h now\n")
    assert "shutdown" not in cloud.start_script(description(**GPUS), order())
    assert "timeout --signal=TERM --kill-after=600 21600 " in cloud.start_script(description(**GPUS), order())


def test_arrays_that_would_not_be_there_are_refused():
    resolved = "name: d\nnetwork: {weights: {array: /home/me/w.safetensors, name: rule.A}}\n"
    with pytest.raises(ConfigError, match=r"reads /home/me/w\.safetensors, which is not brought along"):
        cloud.plan(description(**SPOT), order(resolved=resolved), HERE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cloud": {}}, "cloud.provider: is not given, wanted aws or gcp"),
        ({"cloud": AWS, "gpus": 1}, "cloud.machine: is not given, wanted a type of machine with GPUs"),
        ({"cloud": {**AWS, "wheel": None}}, "cloud.wheel: is not given, wanted a wheel of metaplastic (make wheel)"),
        ({"cloud": {**AWS, "wheel": "/a/b.tar.gz"}}, "cloud.wheel: is /a/b.tar.gz, wanted a file that ends in .whl"),
        ({"run_dir": None}, "run_dir: is not given, wanted a folder on the head's disk"),
    ],
)
def test_what_is_missing_is_told(changes, message):
    with pytest.raises(ConfigError) as error:
        cloud.plan(description(**{**SPOT, **changes}), order(), HERE)
    assert message in str(error.value)

"""Launch descriptions: what is refused, in one line each that names the place, what came, what was wanted, the mend."""

import pytest
from launch_orders import AWS, GCP, KUBERNETES, description
from pydantic import TypeAdapter, ValidationError

from metaplastic.clusters import rules
from metaplastic.clusters.launch import read_description
from metaplastic.settings import ConfigError

MISTAKES = [
    ({"name": "Digits_1"}, "name: is 'Digits_1', wanted at most 47 lower-case letters", "did you mean 'digits-1'?"),
    ({"name": "d" * 48}, "name: is 'dddd", "at most 47"),
    ({"name": "1st"}, "name: is '1st', wanted", "did you mean 'run-1st'?"),
    ({"nodes": 0}, "nodes: is 0, wanted at least 1"),
    ({"nodes": "two"}, "nodes: is 'two', wanted a whole number"),
    ({"nodes": True}, "nodes: is True, wanted a whole number"),
    ({"nodes": 1.5}, "nodes: is 1.5, wanted a whole number"),
    ({"gpus": -1}, "gpus: is -1, wanted at least 0"),
    ({"memory": 32}, "memory: is 32, wanted a whole number and a unit", "did you mean '32G'?"),
    ({"memory": "32 potatoes"}, "memory: is '32 potatoes', wanted"),
    ({"memory": "512M"}, "memory: is '512M', wanted at least 1G"),
    ({"hours": 0}, "hours: is 0, wanted hours as a number above 0"),
    ({"hours": -2.5}, "hours: is -2.5, wanted hours"),
    ({"hours": float("nan")}, "hours: is 'NaN', wanted hours"),
    ({"hours": "1:30"}, "hours: is '1:30', wanted hours as a number", "did you mean 1.5?"),
    ({"hours": 10000}, "at most a year"),
    ({"nodes": 2, "cpus": 4, "workers": 9}, "workers is 9, but 2 nodes of 4 CPUs have room for 8"),
    ({"nodes": 1, "gpus": 4, "workers": 6}, "workers is 6 for 4 GPUs, wanted a multiple"),
    ({"run_dir": "runs/a"}, "run_dir: is 'runs/a', wanted an absolute path"),
    ({"run_dir": "/my runs/a"}, "run_dir: is '/my runs/a', wanted a path of letters", "no spaces"),
    ({"run_dir": "/a/../b"}, "run_dir: is '/a/../b', wanted a path without '..'"),
    ({"node": 2}, "node: no such setting (did you mean 'nodes'?)"),
    ({"slurm": {"partitoin": "long"}}, "slurm.partitoin: no such setting (did you mean 'partition'?)"),
    ({"slurm": {"partition": "long queue"}}, "slurm.partition: is 'long queue', wanted one word"),
    ({"slurm": {"account": "a\n#SBATCH --uid=0"}}, "slurm.account: is", "wanted one word"),
    ({"slurm": {"temp": "/a/very/long/folder/for/sockets"}}, "slurm: temp is", "wanted at most 24 characters"),
    ({"slurm": {"notice": 30}}, "slurm.notice: is 30, wanted at least 60"),
    ({"slurm": {"first_port": 40000}}, "first_port is 40000, wanted at most 32000"),
    ({"slurm": {"setup": ["export WANDB_API_KEY=123"]}}, "slurm.setup[0]: assigns WANDB_API_KEY", "~/.netrc"),
    ({"env": {"WANDB_API_KEY": "123"}}, "env: has WANDB_API_KEY, which looks like a secret", "kubernetes.secrets"),
    ({"env": {"my_token": "123"}}, "env: has my_token, which looks like a secret"),
    ({"env": {"2A": "x"}}, "env: has a variable '2A', wanted a name"),
    ({"env": {"A": "x\ny"}}, "wanted a text of one line"),
    ({"env": {"A": True}}, "true and false in quotes"),
    ({"env": {"RAY_AUTH_MODE": "disabled"}}, "env: has RAY_AUTH_MODE, which the launcher sets itself"),
    ({"env": ["A=1"]}, "env: is ['A=1'], wanted variables by name"),
    ({"kubernetes": {"image": "lab/metaplastic"}}, "kubernetes.image: is", "wanted an image with a tag"),
    ({"kubernetes": {"image": "lab/metaplastic:latest"}}, "wanted a tag that does not move"),
    ({"kubernetes": {"image": "Lab Image:1"}}, "wanted a container image like"),
    ({"kubernetes": {"namespace": "my_lab"}}, "kubernetes.namespace: is 'my_lab'", "did you mean 'my-lab'?"),
    ({"kubernetes": {"claim": "-runs"}}, "kubernetes.claim: is '-runs', wanted at most 253"),
    ({"kubernetes": {"head_cpus": "0"}}, "kubernetes.head_cpus: is '0', wanted CPUs above 0, like 2, 0.5 or 500m"),
    ({"kubernetes": {"ray_version": "2.51.0"}}, "wanted 2.52.0 or newer: older ones know no authentication"),
    ({"ray_job": {"address": "ray://head:10001"}}, "ray_job.address: is 'ray://head:10001', the Ray client's"),
    ({"ray_job": {"address": "127.0.0.1:8265"}}, "wanted the Jobs server's address like http://127.0.0.1:8265"),
    ({"ray_job": {"address": "http://me:pw@127.0.0.1:8265"}}, "ray_job.address: holds a user or password"),
    ({"ray_job": {"address": "http://head.lab:8265"}}, "where all could read along; wanted https, or a tunnel (ssh -L"),
    ({"cloud": {"provider": "azure"}}, "cloud.provider: is 'azure'"),
    ({"cloud": {"provider": "gcp"}}, "cloud: project is not given"),
    ({"cloud": {"provider": "aws"}}, "cloud: image is None, wanted an AMI of your region"),
    ({"cloud": {"disk": 5}}, "cloud.disk: is 5, wanted at least 20"),
]


@pytest.mark.parametrize(
    ("settings", "messages"), [(m[0], m[1:]) for m in MISTAKES], ids=[str(m[0])[:60] for m in MISTAKES]
)
def test_a_mistake_is_one_line(settings, messages):
    with pytest.raises(ConfigError) as error:
        description(**settings)
    text = str(error.value)
    assert text.startswith("launch: ")
    assert all(message in text for message in messages), text
    assert len(text.splitlines()) == 1


def test_every_mistake_is_told_at_once():
    with pytest.raises(ConfigError) as error:
        description(nodes=0, hours=0, memory="1")
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == ["nodes", "memory", "hours"]


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(ConfigError) as error:
        description(ray_job={"address": "https://me:hunter2@head.lab:8265"})
    assert "hunter2" not in str(error.value)


def test_flags_stand_over_the_file_and_settings_over_flags(tmp_path):
    file = tmp_path / "lab.yaml"
    file.write_text("nodes: 2\ncpus: 4\nhours: 1e1\nslurm: {partition: long, account: lab}\n")
    wanted = read_description(file, {"nodes": "3", "cpus": None}, ["slurm.partition=short", "nodes=5"], "digits")
    assert (wanted.nodes, wanted.cpus, wanted.hours, wanted.name) == (5, 4, 10.0, "digits")
    assert (wanted.slurm.partition, wanted.slurm.account) == ("short", "lab")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes: 2\nnodes: 3\n", "line 2, column 1: 'nodes' is given twice"),
        ("- nodes\n", "wanted a mapping like {nodes: 2, hours: 12}"),
        ("nodes: [2\n", "line 2, column 1"),
        ("hour: 2\n", "hour: no such setting (did you mean 'hours'?)"),
        ("env: {A: !!python/object/apply:os.system [true]}\n", "could not determine a constructor"),
    ],
)
def test_a_bad_file_is_named_with_the_line(tmp_path, text, message):
    file = tmp_path / "lab.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_description(file, {}, [], "digits")
    assert str(error.value).startswith(str(file))
    assert message in str(error.value)


def test_an_absent_file_is_said():
    from pathlib import Path

    with pytest.raises(ConfigError, match=r"none\.yaml: no such launch description"):
        read_description(Path("none.yaml"), {}, [], "digits")


def test_workers_are_one_a_gpu_or_one_a_cpu():
    assert description(nodes=3, cpus=5).worker_count() == 15
    gpus = description(nodes=3, cpus=5, gpus=2)
    assert (gpus.worker_count(), gpus.gpus_a_worker()) == (6, 1.0)
    shared = description(nodes=1, cpus=8, gpus=2, workers=6)
    assert (shared.worker_count(), shared.gpus_a_worker()) == (6, pytest.approx(1 / 3, abs=1e-5))
    assert 3 * shared.gpus_a_worker() <= 1
    assert description(gpus=4, workers=2).gpus_a_worker() == 1.0


def test_amounts_are_read_with_any_usual_unit():
    read = TypeAdapter(rules.Memory).validate_python
    assert [read(text) for text in ("32G", "32Gi", "32gb", " 32 GiB ", "2048M")] == ["32G"] * 4 + ["2048M"]
    assert (rules.mebibytes("3G"), rules.mebibytes("1T"), rules.mebibytes("2048M")) == (3072, 1048576, 2048)
    assert [TypeAdapter(rules.CpuQuantity).validate_python(text) for text in (2, "0.5", "500m")] == ["2", "0.5", "500m"]
    with pytest.raises(ValidationError):
        TypeAdapter(rules.CpuQuantity).validate_python("0m")


@pytest.mark.parametrize("text", ["My_Run.2", "2fast", "--", "a" * 80, "Ünï", "x-" * 30])
def test_a_name_is_made_of_anything(text):
    assert rules.job_name(rules.as_job_name(text)) == rules.as_job_name(text)


def test_shell_lines_may_pass_secrets_on_but_not_hold_them():
    assert rules.shell_line('export WANDB_API_KEY="$(cat ~/.wandb)"')
    assert rules.shell_line("export API_TOKEN=$MINE; module load cuda")
    with pytest.raises(ValueError, match="assigns TOKEN"):
        rules.shell_line("module load x; TOKEN=abc true")


def test_good_sections_of_every_kind_are_read():
    wanted = description(kubernetes=KUBERNETES, cloud=AWS)
    assert wanted.kubernetes.claim == "runs"
    assert description(cloud=GCP).cloud.project == "my-lab-1"
    assert description(ray_job={"address": "http://head.lab:8265/", "plain_http": True}).ray_job.address == (
        "http://head.lab:8265"
    )

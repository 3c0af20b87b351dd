"""No file that a launcher makes holds a secret or leaves authentication to chance; tokens are private."""

import stat

import pytest
from launch_orders import AWS, GCP, KUBERNETES, description, order

from metaplastic.clusters import cloud, kubernetes, local, ray_job, slurm
from metaplastic.clusters.plan import Plan, write_token
from metaplastic.settings import ConfigError

PLACES = {
    "local": lambda _: local.plan(description(run_dir="/shared/r"), order()),
    "ray-job": lambda _: ray_job.plan(
        description(run_dir="/data/r", ray_job={"address": "https://ray.lab:8265"}), order()
    ),
    "slurm": lambda _: slurm.plan(description(nodes=2, run_dir="/shared/r"), order()),
    "kubernetes": lambda _: kubernetes.plan(description(run_dir="/runs/r", kubernetes=KUBERNETES), order()),
    "aws": lambda folder: cloud.plan(description(run_dir="/home/ubuntu/r", cloud=AWS), order(), folder),
    "gcp": lambda folder: cloud.plan(description(run_dir="/home/ubuntu/r", cloud=GCP), order(), folder),
}
SECRETS = ("WANDB_API_KEY", "aws_secret_access_key", "MyToken", "DB_PASSWORD", "GH_TOKEN", "passwd", "GCP_CREDENTIALS")


@pytest.mark.parametrize("place", PLACES)
def test_every_place_says_itself_that_ray_asks_for_a_token(place, tmp_path):
    plan = PLACES[place](tmp_path)
    starts = [text for text in plan.files.values() if "ray start" in text or '"$ray" start' in text]
    assert all("RAY_AUTH_MODE=token" in text for text in starts)
    whole = plan.show()
    if place == "kubernetes":
        assert "authOptions:" in whole
        assert "mode: token" in whole
    else:
        assert "RAY_AUTH_MODE=token" in whole
    for open_door in (
        "RAY_AUTH_MODE=disabled",
        "mode: disabled",
        "dashboard-host=0.0.0.0",
        "ray stop",
        "symmetric-run",
    ):
        assert open_door not in whole.replace("ray stop --help", "")


@pytest.mark.parametrize("place", PLACES)
def test_no_plan_shows_a_token_s_value(place, tmp_path, monkeypatch):
    for name in ("RAY_AUTH_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hush-hush")
    plan = PLACES[place](tmp_path)
    assert "hush-hush" not in plan.show()
    assert "hush-hush" not in " ".join([*plan.environment.values(), *plan.after])


@pytest.mark.parametrize("name", SECRETS)
def test_variables_that_look_like_secrets_are_refused_wherever_they_are_said(name):
    with pytest.raises(ConfigError, match="looks like a secret") as error:
        description(env={name: "hush-hush"})
    assert "hush-hush" not in str(error.value)
    with pytest.raises(ConfigError, match="looks like a secret") as error:
        description(slurm={"setup": [f"export {name}=hush-hush"]})
    assert "\n" not in str(error.value)


def test_a_token_is_its_owner_s_alone_whatever_the_umask_and_stays(tmp_path):
    write_token(tmp_path / "token")
    token = (tmp_path / "token").read_text()
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert len(token) == 64
    write_token(tmp_path / "token")
    assert (tmp_path / "token").read_text() == token


def test_the_folder_of_a_launch_is_its_owner_s_alone(tmp_path):
    Plan(files={"a": "x"}).write(tmp_path / "launch")
    assert stat.S_IMODE((tmp_path / "launch").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "settings",
    [{"name": "x; rm -rf ~"}, {"run_dir": "/shared/$(id)"}, {"slurm": {"partition": "a b"}}, {"run_dir": "/a/../etc"},
     {"slurm": {"account": "x\n#SBATCH --uid=0"}}, {"kubernetes": {"namespace": "a/b"}},
     {"env": {"X;id": "1"}}, {"env": {"X": "a\nb"}}],
)  # fmt: skip
def test_settings_cannot_smuggle_words_into_scripts_and_manifests(settings):
    with pytest.raises(ConfigError) as error:
        description(**settings)
    assert "\n" not in str(error.value)

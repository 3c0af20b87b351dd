"""AWS and GCP: a file for Ray's cluster launcher (`ray up`), and the script that the head runs.

The token is made when the cluster is, lies in a file of mode 0600 and is mounted on every node; the dashboard listens
on loopback alone; the nodes are reached by ssh. When the search ends, the script takes the workers down and switches
the head off; its disk, with the run on it, stays.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from metaplastic.clusters.description import Launch
from metaplastic.clusters.order import Order, check_arrays, need, search_words
from metaplastic.clusters.plan import TOKEN, Plan, yaml_text
from metaplastic.settings import ConfigError

FILE, START, EXPERIMENT = "cluster.yaml", "start.sh", "experiment.yaml"
REGION = {"aws": "us-west-2", "gcp": "us-west1"}
MACHINE = {"aws": "m7i.2xlarge", "gcp": "n2-standard-8"}
HEAD = {"aws": "m7i.large", "gcp": "n2-standard-2"}
GCP_IMAGE = "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64"
SDK = {"aws": {"boto3": "boto3"}, "gcp": {"googleapiclient": "google-api-python-client"}}
AUTH = "export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0"
BIN = "~/metaplastic-env/bin"


def plan(launch: Launch, order: Order, folder: Path) -> Plan:
    """Cluster file, the experiment, the head's script; and how all is begun. `folder`: where the files will lie."""
    provider = _provider(launch)
    words = ("ray", "exec", "--tmux", FILE, f"bash ~/launch/{START}")
    return Plan(
        {
            FILE: yaml_text(cluster(launch, order, folder)),
            START: start_script(launch, order),
            EXPERIMENT: order.resolved,
        },
        (("ray", "up", "--yes", FILE), words),
        environment={"RAY_USAGE_STATS_ENABLED": "0"},
        modules=SDK[provider],
        token=True,
        after=(
            f"look: ray attach --tmux {folder / FILE}    output: {_run(launch)}.log",
            f"fetch: ray rsync-down {folder / FILE} {_run(launch)}/ ./{launch.name}/",
            f"end it all: ray down {folder / FILE}",
        ),
    )


def cluster(launch: Launch, order: Order, folder: Path) -> dict[str, Any]:
    """The cluster file."""
    settings, provider = launch.cloud, _provider(launch)
    if launch.gpus and settings.machine is None:
        raise ConfigError(
            "cloud.machine: is not given, wanted a type of machine with GPUs, like g6.2xlarge or g2-standard-8"
        )
    check_arrays(order, "/mnt")
    wheel = need(settings.wheel, "cloud.wheel", "a wheel of metaplastic (make wheel)")
    if not wheel.endswith(".whl"):
        raise ConfigError(f"cloud.wheel: is {wheel}, wanted a file that ends in .whl (make wheel)")
    region = settings.region or REGION[provider]
    zone = settings.zone or f"{region}{'a' if provider == 'aws' else '-a'}"
    place = {"type": provider, "region": region, "availability_zone": zone}
    if provider == "gcp":
        place["project_id"] = settings.project or ""
    resources = {"CPU": launch.cpus} | ({"GPU": launch.gpus} if launch.gpus else {})
    return {
        "cluster_name": launch.name,
        "max_workers": launch.nodes,
        "idle_timeout_minutes": 5,
        "provider": place,
        "auth": {"ssh_user": settings.user},
        "available_node_types": {
            "head": {"resources": {"CPU": 0, "GPU": 0}, "node_config": _machine(launch, provider, head=True)},
            "worker": {
                "min_workers": launch.nodes,
                "max_workers": launch.nodes,
                "resources": resources,
                "node_config": _machine(launch, provider, head=False),
            },
        },
        "head_node_type": "head",
        "file_mounts": {
            f"~/launch/{Path(wheel).name}": wheel,
            f"~/launch/{EXPERIMENT}": str(folder / EXPERIMENT),
            f"~/launch/{START}": str(folder / START),
            "~/.ray/auth_token": str(folder / TOKEN),
        },
        "setup_commands": _setup(launch, order, Path(wheel).name),
        "head_start_ray_commands": [
            _ray(
                "--head --port=6379 --num-cpus=0 --num-gpus=0 --dashboard-host=127.0.0.1 "
                "--autoscaling-config=~/ray_bootstrap_config.yaml"
            )
        ],
        "worker_start_ray_commands": [_ray("--address=$RAY_HEAD_IP:6379")],
    }


def start_script(launch: Launch, order: Order) -> str:
    """What the head runs: the search within its hours, and the end of what costs money."""
    words = search_words(launch, order, "EXPERIMENT", resolved=True)
    seconds = max(1, round(launch.hours * 3600))
    quoted = shlex.join(words).replace("EXPERIMENT", f"~/launch/{EXPERIMENT}", 1)
    lines = [
        "#!/bin/bash",
        "umask 077",
        AUTH,
        *(f"export {name}={shlex.quote(value)}" for name, value in launch.env.items()),
        f"run={shlex.quote(_run(launch))}",
        'mkdir -p "$(dirname "$run")"',
        f'timeout --signal=TERM --kill-after=600 {seconds} {BIN}/python -m metaplastic {quoted} >>"$run.log" 2>&1',
        'echo "metaplastic: ended with exit code $?" >>"$run.log"',
    ]
    if launch.cloud.stop:
        lines += [f"{BIN}/ray down ~/ray_bootstrap_config.yaml --yes --workers-only", "sudo shutdown -h now"]
    return "\n".join(lines) + "\n"


def _provider(launch: Launch) -> str:
    return need(launch.cloud.provider, "cloud.provider", "aws or gcp")


def _run(launch: Launch) -> str:
    home = f"/home/{launch.cloud.user}/runs/{launch.name}"
    return need(launch.run_dir, "run_dir", f"a folder on the head's disk or on one that you mount, like {home}")


def _machine(launch: Launch, provider: str, *, head: bool) -> dict[str, Any]:
    settings = launch.cloud
    kind = settings.head_machine or HEAD[provider] if head else settings.machine or MACHINE[provider]
    spot = settings.spot and not head
    if provider == "aws":
        return {
            "InstanceType": kind,
            "ImageId": settings.image,
            "BlockDeviceMappings": [
                {
                    "DeviceName": "/dev/sda1",
                    "Ebs": {"VolumeSize": settings.disk, "VolumeType": "gp3", "Encrypted": True},
                }
            ],
            "MetadataOptions": {"HttpTokens": "required"},
            **({"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {}),
        }
    disk = {"diskSizeGb": settings.disk, "sourceImage": settings.image or GCP_IMAGE}
    return {
        "machineType": kind,
        "disks": [{"boot": True, "autoDelete": True, "type": "PERSISTENT", "initializeParams": disk}],
        **({"scheduling": {"preemptible": True, "automaticRestart": False}} if spot else {}),
    }


def _setup(launch: Launch, order: Order, wheel: str) -> list[str]:
    """metaplastic in an environment of its own, once a machine."""
    python, folder = shlex.quote(launch.cloud.python), BIN.removesuffix("/bin")
    old = f"metaplastic needs Python 3.11 or newer; set cloud.image or cloud.python, {launch.cloud.python} is older"
    return [
        f"{python} -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {{ echo {shlex.quote(old)} >&2; exit 1; }}",
        "chmod 600 ~/.ray/auth_token",
        f"{python} -m venv {folder} || {{ sudo apt-get update && sudo apt-get install -y python3-venv && "
        f"{python} -m venv {folder}; }}",
        f"{BIN}/pip install --quiet {shlex.quote(f'ray[default]=={order.ray_version}')} ~/launch/{shlex.quote(wheel)}",
    ]


def _ray(options: str) -> str:
    return f"umask 077; {AUTH}; {BIN}/ray start {options} --disable-usage-stats"

"""The launch description: one small tree of values that every launcher reads, and what each manager needs beside it.

    name: evolve-digits        nodes: 2       cpus: 8       memory: 32G       hours: 12
    run_dir: /shared/runs/evolve-digits
    slurm: {partition: long, account: lab}

It says where and how long, nothing of the science: the experiment's own file does that, so one description serves many
experiments. Flags of the command line are set over it. Every mistake is one line, told before anything is written.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from metaplastic.clusters.rules import (
    AbsolutePath,
    Count,
    CpuQuantity,
    Hours,
    Image,
    JobName,
    Label,
    Memory,
    Positive,
    ShellLine,
    SlurmWord,
    Subdomain,
    Variables,
    at_least,
)
from metaplastic.settings import Value, wrong

LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Slurm(Value):
    """What `sbatch` needs beside the common settings."""

    partition: SlurmWord | None = None
    """partition (queue); the site's default if absent"""
    account: SlurmWord | None = None
    """account that is charged"""
    qos: SlurmWord | None = None
    """quality of service"""
    constraint: SlurmWord | None = None
    """features that nodes must have"""
    gpu_type: SlurmWord | None = None
    """kind of GPU, as the site names it: a100"""
    setup: tuple[ShellLine, ...] = ()
    """lines of shell that come first: module load …"""
    python: AbsolutePath | None = None
    """the Python of the job, on a disk that all nodes see; the one that launches if absent"""
    logs: AbsolutePath | None = None
    """folder of the job's output, which must exist; the folder one launches from if absent"""
    temp: AbsolutePath = "/tmp"
    """parent of the private folder that Ray's files lie in, on each node's own disk"""
    notice: Annotated[Positive, at_least(60)] = 120
    """seconds before the time limit at which the search is asked to save and stop"""
    start_seconds: Positive = 300
    """how long to wait for Ray's head"""
    first_port: Annotated[Positive, at_least(1024)] = 20000
    """start of the ports that jobs share out by their number; they stay below 32768, where the system takes its own"""

    @model_validator(mode="after")
    def _fit(self) -> Slurm:
        if len(self.temp) > 24:  # Ray's sockets below it must stay within the 107 bytes of a Unix socket's path
            raise wrong(f"temp is {self.temp!r}, wanted at most 24 characters: Ray's sockets lie deep below it")
        if self.first_port > 32000:
            raise wrong(f"first_port is {self.first_port}, wanted at most 32000")
        return self


class Kubernetes(Value):
    """What a KubeRay `RayJob` needs beside the common settings."""

    image: Image | None = None
    """container image with metaplastic and Ray in it; needed"""
    ray_version: str | None = None
    """version of Ray in the image; that of this machine if absent"""
    namespace: Label = "default"
    """namespace of the job"""
    claim: Subdomain | None = None
    """persistent volume claim for runs, which all nodes can mount; needed"""
    mount: AbsolutePath = "/runs"
    """where the claim is mounted"""
    head_cpus: CpuQuantity = "2"
    """CPUs of the head, which drives the search and lives no lifetimes"""
    head_memory: Memory = "8G"
    """memory of the head"""
    keep_seconds: Count = 600
    """seconds that the finished job and its cluster stay to be looked at"""
    service_account: Subdomain | None = None
    """service account of the pods"""
    secrets: tuple[Subdomain, ...] = ()
    """Kubernetes Secrets whose entries become variables of the pods, e.g. one with WANDB_API_KEY"""
    pull_secret: Subdomain | None = None
    """Secret to pull the image with"""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """labels that workers' nodes must have"""
    gpu_resource: Annotated[str, Field(pattern=r"^[a-z0-9.-]+/[a-zA-Z0-9._-]+$")] = "nvidia.com/gpu"
    """name under which the cluster counts GPUs"""
    fs_group: Positive | None = None
    """group that the volume is given to, if the image's user may not write on it"""
    kube_context: str | None = None
    """context of kubectl; the current one if absent"""

    @model_validator(mode="after")
    def _fit(self) -> Kubernetes:
        found = re.fullmatch(r"(\d+)\.(\d+)\.\d+\S*", self.ray_version or "2.52.0")
        if not found or (int(found[1]), int(found[2])) < (2, 52):
            raise wrong(
                f"ray_version is {self.ray_version!r}, wanted 2.52.0 or newer: older ones know no authentication"
            )
        return self


def jobs_address(text: str) -> str:
    """The address of a Jobs server; what only looks like one is refused with the mend."""
    if text.startswith("ray://"):
        raise wrong(
            f"is {text!r}, the Ray client's; wanted the Jobs server's, http://HOST:8265 (jobs outlive your laptop)"
        )
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong(f"is {text!r}, wanted the Jobs server's address like http://127.0.0.1:8265")
    if parts.username or parts.password:
        raise wrong("holds a user or password, which would lie readable in logs; use the token (RAY_AUTH_TOKEN_PATH)")
    return text.rstrip("/")


class RayJob(Value):
    """What `ray job submit` needs beside the common settings."""

    address: Annotated[str, AfterValidator(jobs_address)] | None = None
    """the cluster's Jobs server; RAY_ADDRESS if absent"""
    folder: AbsolutePath | None = None
    """what is shipped: the folder with the experiment, your modules and (if it is not installed there) the repository
    of metaplastic; the folder one launches from if absent"""
    wheel: str | None = None
    """a wheel of metaplastic in `folder`, to be installed for the job: dist/metaplastic-0.1.0-py3-none-any.whl"""
    python: Annotated[str, Field(pattern=r"^[\w./-]+$")] = "python"
    """the cluster's Python, on its path or absolute"""
    auth: Literal["token", "disabled"] = "token"
    """how the cluster was started; disabled means that whoever reaches it can run anything on it"""
    plain_http: bool = False
    """send the token over http to another machine, where the network is known to be safe"""

    @model_validator(mode="after")
    def _safe(self) -> RayJob:
        parts = urlsplit(self.address or "")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not self.plain_http:
            raise wrong(
                f"address is {self.address!r}, where all could read along; wanted https, or a tunnel "
                f"(ssh -L 8265:127.0.0.1:8265 {parts.hostname}, then http://127.0.0.1:8265), or plain_http: true"
            )
        return self


class Cloud(Value):
    """What Ray's cluster launcher needs beside the common settings."""

    provider: Literal["aws", "gcp"] | None = None
    """whose machines; needed"""
    region: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)+-?\d$")] | None = None
    """region; us-west-2 or us-west1 if absent"""
    zone: Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)+-?\d-?[a-z]$")] | None = None
    """availability zone; the region's first if absent"""
    project: Annotated[str, Field(pattern=r"^[a-z][-a-z0-9]{4,28}[a-z0-9]$")] | None = None
    """GCP project; needed there"""
    machine: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]+$")] | None = None
    """type of the workers' machines; needed with GPUs, else m7i.2xlarge or n2-standard-8"""
    head_machine: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]+$")] | None = None
    """type of the head's machine"""
    image: str | None = None
    """machine image with Python 3.11 or newer: an AMI (needed), or a GCP source image; Ubuntu 24.04 on GCP if absent"""
    python: Annotated[str, Field(pattern=r"^[\w./-]+$")] = "python3"
    """the image's Python"""
    user: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")] = "ubuntu"
    """who logs in"""
    spot: bool = False
    """workers that the provider may take back at any time, for a fraction of the price; the head never is one"""
    disk: Annotated[Positive, at_least(20)] = 100
    """GB of disk"""
    wheel: AbsolutePath | None = None
    """a wheel of metaplastic on this machine (make wheel); needed"""
    stop: bool = True
    """when the search ends, take the workers down and switch the head off (its disk stays)"""

    @model_validator(mode="after")
    def _fit(self) -> Cloud:
        if self.provider == "gcp" and self.project is None:
            raise wrong("project is not given, wanted the GCP project that pays")
        if self.provider == "aws" and not re.fullmatch(r"ami-[0-9a-f]{8,17}", self.image or ""):
            raise wrong(
                f"image is {self.image!r}, wanted an AMI of your region with Python 3.11 or newer, like ami-0abc…"
            )
        return self


class Launch(Value):
    """Where an experiment is searched, on how much, for how long."""

    name: JobName
    """name of the job"""
    nodes: Positive = 1
    """machines that live lifetimes (Slurm: all of them, the head's included; elsewhere the head comes on top)"""
    cpus: Positive = 8
    """CPUs of each"""
    gpus: Count = 0
    """GPUs of each; the lifetimes then run on them"""
    memory: Memory = "32G"
    """memory of each"""
    hours: Hours = 4.0
    """time limit (slurm, kubernetes, cloud); a search that needs longer is begun again and goes on"""
    workers: Positive | None = None
    """Ray actors; one a GPU, or else one a CPU, if absent"""
    run_dir: AbsolutePath | None = None
    """run directory, on a disk that outlives the job and that a restarted job finds again"""
    retries: Count = 3
    """how often an interrupted job is begun again by itself"""
    env: Variables = Field(default_factory=dict)
    """further environment variables"""
    slurm: Slurm = Slurm()
    """for `launch slurm`"""
    kubernetes: Kubernetes = Kubernetes()
    """for `launch kubernetes`"""
    ray_job: RayJob = RayJob()
    """for `launch ray-job`"""
    cloud: Cloud = Cloud()
    """for `launch cloud`"""

    @model_validator(mode="after")
    def _room(self) -> Launch:
        cpus, gpus = self.nodes * self.cpus, self.nodes * self.gpus
        if self.workers and self.workers > cpus:
            raise wrong(
                f"workers is {self.workers}, but {self.nodes} nodes of {self.cpus} CPUs have room for {cpus}; "
                "the rest would wait for ever"
            )
        if gpus and self.workers and self.workers % gpus and gpus % self.workers:
            raise wrong(
                f"workers is {self.workers} for {gpus} GPUs, wanted a multiple of it, so that they share evenly"
            )
        return self

    def worker_count(self) -> int:
        """Ray actors."""
        return self.workers or self.nodes * (self.gpus or self.cpus)

    def gpus_a_worker(self) -> float:
        """GPUs that one actor reserves."""
        return min(1.0, math.floor(1e6 * self.nodes * self.gpus / self.worker_count()) / 1e6)


def package_folder(path: Path) -> Path | None:
    """The package folder that a path is or lies in: shipped to Ray, its `platform` would hide Python's own."""
    for folder in (path, *path.parents):
        if folder.name == "metaplastic" and (folder / "platform" / "__init__.py").is_file():
            return folder
    return None

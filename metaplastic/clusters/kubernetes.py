"""Kubernetes: a KubeRay `RayJob`, and a ConfigMap that brings the experiment along.

The head drives the search and lives no lifetimes; the workers do. The operator makes the authentication token and gives
it to all pods. After an eviction of a worker the search goes on with the others; after one of the head the operator
begins the job again on a new cluster, and the search goes on from its run on the volume.
"""

from __future__ import annotations

from typing import Any

from metaplastic.clusters.description import Launch
from metaplastic.clusters.order import Order, check_arrays, need, search_words
from metaplastic.clusters.plan import Plan, yaml_text
from metaplastic.clusters.rayjob_rules import check_manifest
from metaplastic.settings import ConfigError

FILE = "rayjob.yaml"
EXPERIMENT = "/etc/metaplastic/experiment.yaml"
MAP_BYTES = 900_000
"""a ConfigMap holds 1 MiB at most, its own words included"""


def plan(launch: Launch, order: Order) -> Plan:
    """The manifests, and their creation."""
    settings = launch.kubernetes
    where = ("--context", settings.kube_context) if settings.kube_context else ()
    look = f"kubectl -n {settings.namespace}"
    return Plan(
        {FILE: yaml_text(*manifests(launch, order))},
        (("kubectl", *where, "create", "-f", FILE),),
        after=(
            f"state: {look} get rayjob {launch.name}",
            f"output: {look} logs -f -l ray.io/node-type=head -c ray-job-submitter    run: {launch.run_dir}",
        ),
    )


def manifests(launch: Launch, order: Order) -> list[dict[str, Any]]:
    """The ConfigMap and the RayJob."""
    settings = launch.kubernetes
    need(settings.claim, "kubernetes.claim", "the persistent volume claim that runs are kept on")
    run = need(launch.run_dir, "run_dir", f"a folder on the volume, like {settings.mount}/{launch.name}")
    if not run.startswith(f"{settings.mount}/"):
        raise ConfigError(
            f"run_dir: is {run}, wanted a folder on the volume, below {settings.mount}; elsewhere it ends with the pod"
        )
    check_arrays(order, settings.mount)
    size = len(order.resolved.encode())
    if size > MAP_BYTES:
        raise ConfigError(f"{order.experiment}: has {size} bytes, wanted at most {MAP_BYTES} for a ConfigMap")
    metadata = {
        "name": launch.name,
        "namespace": settings.namespace,
        "labels": {"app.kubernetes.io/name": "metaplastic"},
    }
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {"experiment.yaml": order.resolved},
    }
    job = rayjob(launch, order, metadata)
    check_manifest(job)
    return [config, job]


def rayjob(launch: Launch, order: Order, metadata: dict[str, Any]) -> dict[str, Any]:
    """The RayJob alone."""
    settings = launch.kubernetes
    head = {"cpu": settings.head_cpus, "memory": f"{settings.head_memory}i"}
    worker = {"cpu": str(launch.cpus), "memory": f"{launch.memory}i"}
    if launch.gpus:
        worker[settings.gpu_resource] = str(launch.gpus)
    words = ["python", "-m", "metaplastic", *search_words(launch, order, EXPERIMENT, resolved=True)]
    workers = {
        "groupName": "workers",
        "replicas": launch.nodes,
        "minReplicas": launch.nodes,
        "maxReplicas": launch.nodes,
        "rayStartParams": {},
        "template": _pod("ray-worker", worker, launch, settings.node_selector),
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": metadata,
        "spec": {
            "entrypoint": " ".join(words),
            "submissionMode": "SidecarMode",
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": settings.keep_seconds,
            "activeDeadlineSeconds": max(1, round(launch.hours * 3600)),
            "backoffLimit": launch.retries,
            "rayClusterSpec": {
                "rayVersion": settings.ray_version or order.ray_version,
                "authOptions": {"mode": "token"},
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0", "num-gpus": "0"},
                    "template": _pod("ray-head", head, launch, {}),
                },
                "workerGroupSpecs": [workers],
            },
        },
    }


def _pod(name: str, resources: dict[str, str], launch: Launch, selector: dict[str, str]) -> dict[str, Any]:
    """A pod of the cluster: no rights that it does not need, and no way to speak to Kubernetes."""
    settings = launch.kubernetes
    variables = {"RAY_USAGE_STATS_ENABLED": "0", **launch.env}
    container = {
        "name": name,
        "image": need(settings.image, "kubernetes.image", "a container image that holds metaplastic and Ray"),
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "envFrom": [{"secretRef": {"name": secret}} for secret in settings.secrets],
        "resources": {"requests": resources, "limits": dict(resources)},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "runs", "mountPath": settings.mount},
            {"name": "experiment", "mountPath": EXPERIMENT.rpartition("/")[0], "readOnly": True},
        ],
    }
    group = {"fsGroup": settings.fs_group} if settings.fs_group else {}
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "serviceAccountName": settings.service_account,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, **group},
        "imagePullSecrets": [{"name": settings.pull_secret}] if settings.pull_secret else [],
        "nodeSelector": dict(selector),
        "containers": [{key: value for key, value in container.items() if value}],
        "volumes": [
            {"name": "runs", "persistentVolumeClaim": {"claimName": settings.claim}},
            {"name": "experiment", "configMap": {"name": launch.name}},
        ],
    }
    return {"spec": {key: value for key, value in pod.items() if value not in (None, [], {})}}

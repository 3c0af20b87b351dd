"""The RayJob manifest: its text, the operator's rules, and what it never holds."""

import copy
import shlex

import pytest
import yaml
from launch_orders import KUBERNETES, description, is_golden, order

from metaplastic.clusters import kubernetes
from metaplastic.clusters.rayjob_rules import check_manifest
from metaplastic.settings import ConfigError

FULL = {
    "nodes": 3,
    "cpus": 8,
    "gpus": 2,
    "memory": "16G",
    "hours": 24,
    "run_dir": "/runs/digits",
    "env": {"NUMBA_NUM_THREADS": 1},
    "kubernetes": {
        **KUBERNETES,
        "namespace": "lab",
        "secrets": ["wandb"],
        "pull_secret": "registry",
        "service_account": "evolver",
        "node_selector": {"pool": "gpu"},
        "fs_group": 1000,
        "kube_context": "lab-cluster",
    },
}
PLAIN = {"run_dir": "/runs/digits", "kubernetes": KUBERNETES}


@pytest.mark.parametrize(("name", "settings"), [("rayjob_gpus.yaml", FULL), ("rayjob.yaml", PLAIN)])
def test_the_manifests_are_as_they_were(name, settings):
    plan = kubernetes.plan(description(**settings), order())
    is_golden(name, plan.files["rayjob.yaml"])


def test_the_experiment_comes_along_word_for_word():
    resolved = "name: digits\nnotes: |\n  two lines\n  of 'notes': {}\n"
    text = kubernetes.plan(description(**PLAIN), order(resolved=resolved)).files["rayjob.yaml"]
    config, job = yaml.safe_load_all(text)
    assert config["data"]["experiment.yaml"] == resolved
    (volume,) = [
        v for v in job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["volumes"] if "configMap" in v
    ]
    assert volume["configMap"]["name"] == config["metadata"]["name"]


def test_what_is_run_needs_no_quotes():
    _, job = kubernetes.manifests(description(**FULL), order("rule.update=eta * pre", "seed=3"))
    words = job["spec"]["entrypoint"].split()
    assert words == shlex.split(job["spec"]["entrypoint"])
    assert words[:5] == ["python", "-m", "metaplastic", "search", "/etc/metaplastic/experiment.yaml"]
    assert "execution.workers=6" in words  # three nodes of two GPUs
    assert words[-3:] == ["--out", "/runs/digits", "--resume"]
    assert "seed=3" not in words  # the experiment that comes along has it


def test_pods_have_no_rights_that_they_do_not_need():
    _, job = kubernetes.manifests(description(**PLAIN), order())
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_head_has_no_gpus_and_lives_no_lifetimes():
    _, job = kubernetes.manifests(description(**FULL), order())
    cluster = job["spec"]["rayClusterSpec"]
    head = cluster["headGroupSpec"]
    assert head["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    assert "nvidia.com/gpu" not in head["template"]["spec"]["containers"][0]["resources"]["limits"]
    worker = cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["resources"]
    assert worker["limits"] == worker["requests"] == {"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": "2"}


def test_kubectl_is_told_the_context():
    (command,) = kubernetes.plan(description(**FULL), order()).commands
    assert command == ("kubectl", "--context", "lab-cluster", "create", "-f", "rayjob.yaml")


def changed(path: str, value: object):
    """The plain manifest with one value changed; None: without it."""
    _, job = kubernetes.manifests(description(**PLAIN, retries=1), order())
    job = copy.deepcopy(job)
    node = job
    *steps, last = path.split(".")
    for step in steps:
        node = node[int(step)] if step.isdigit() else node[step]
    node[last] = value
    return job


HEAD = "spec.rayClusterSpec.headGroupSpec.template.spec"
BREACHES = [
    ("metadata.name", "a" * 48, "metadata.name: is 'aaaa"),
    ("metadata.name", "1digits", "metadata.name: is '1digits'"),
    ("spec.submissionMode", "Sidecar", "spec.submissionMode: is 'Sidecar'"),
    ("spec.entrypoint", "python -c 'import x'", "spec.entrypoint: is"),
    ("spec.submitterPodTemplate", {"spec": {}}, "submitterPodTemplate is given with SidecarMode"),
    ("spec.submitterConfig", {"backoffLimit": 1}, "submitterConfig is given with SidecarMode"),
    ("spec.clusterSelector", {"ray.io/cluster": "x"}, "clusterSelector is given with SidecarMode"),
    (f"{HEAD}.restartPolicy", "OnFailure", "the head's restartPolicy is not Never"),
    ("spec.submissionMode", "InteractiveMode", "backoffLimit is given with clusterSelector or InteractiveMode"),
    ("spec.ttlSecondsAfterFinished", -1, "spec.ttlSecondsAfterFinished: is -1"),
    ("spec.shutdownAfterJobFinishes", False, "ttlSecondsAfterFinished is given, but the cluster stays"),
    ("spec.activeDeadlineSeconds", 0, "spec.activeDeadlineSeconds: is 0"),
    ("spec.rayClusterSpec.authOptions", {"mode": "disabled"}, "authOptions.mode: is 'disabled'"),
    ("spec.rayClusterSpec.workerGroupSpecs.0.maxReplicas", 0, "replicas is 1, wanted a number in [1, 0]"),
    ("spec.rayClusterSpec.headGroupSpecs", {}, "headGroupSpecs: no such setting (did you mean 'headGroupSpec'?)"),
    (f"{HEAD}.containers.0.image", "lab/metaplastic:latest", "wanted a tag that does not move"),
    ("kind", "RayCluster", "kind: is 'RayCluster'"),
]


@pytest.mark.parametrize(
    ("path", "value", "message"), BREACHES, ids=[f"{b[0].rsplit('.')[-1]}-{b[1]}"[:40] for b in BREACHES]
)
def test_what_the_operator_would_refuse_is_refused_here(path, value, message):
    check_manifest(changed("spec.backoffLimit", 1))
    with pytest.raises(ConfigError) as error:
        check_manifest(changed(path, value))
    assert message in str(error.value)
    assert str(error.value).startswith("RayJob: ")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kubernetes": {"claim": "runs"}}, "kubernetes.image: is not given, wanted a container image that holds"),
        (
            {"kubernetes": {"image": "lab/metaplastic:1"}},
            "kubernetes.claim: is not given, wanted the persistent volume",
        ),
        ({"run_dir": "/home/ray/digits"}, "run_dir: is /home/ray/digits, wanted a folder on the volume, below /runs"),
        ({"run_dir": "/runs2/digits"}, "wanted a folder on the volume, below /runs"),
    ],
)
def test_what_is_missing_is_told(settings, message):
    with pytest.raises(ConfigError) as error:
        kubernetes.plan(description(**{**PLAIN, **settings}), order())
    assert message in str(error.value)


def test_arrays_that_would_not_be_there_are_refused():
    resolved = "name: d\nnetwork: {weights: [{array: /home/me/w.safetensors, name: rule.A}]}\n"
    with pytest.raises(
        ConfigError, match=r"reads /home/me/w\.safetensors, which is not brought along; put it on the disk"
    ):
        kubernetes.plan(description(**PLAIN), order(resolved=resolved))
    kubernetes.plan(description(**PLAIN), order(resolved=resolved.replace("/home/me", "/runs/arrays")))


def test_an_experiment_too_large_for_a_config_map_is_refused():
    with pytest.raises(ConfigError, match="wanted at most 900000 for a ConfigMap"):
        kubernetes.plan(description(**PLAIN), order(resolved=f"notes: {'x' * 900_000}\n"))

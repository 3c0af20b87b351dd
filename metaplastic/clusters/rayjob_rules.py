"""A strict schema of the `RayJob` manifests that we write, with the rules that only KubeRay's operator knows.

The operator checks them after `kubectl apply` has said yes, so a breach would be seen in the job's status at best.
Field names and rules as in KubeRay 1.7 (ray.io/v1, `validation.go`); fields that we never write are refused.
"""

# ruff: noqa: N815  (fields are named as Kubernetes names them)
from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from metaplastic.clusters.rules import Image, JobName, Label, Subdomain
from metaplastic.settings import ConfigError, Value, explain, wrong


class Metadata(Value):
    """Name and place."""

    name: JobName
    """name of the job"""
    namespace: Label = "default"
    """namespace of the job"""
    labels: dict[str, str] = Field(default_factory=dict)
    """labels"""


class Container(Value):
    """One container of a pod."""

    name: Label
    """its name"""
    image: Image
    """its image"""
    env: list[dict[str, Any]] = Field(default_factory=list)
    """variables"""
    envFrom: list[dict[str, Any]] = Field(default_factory=list)
    """Secrets as variables"""
    resources: dict[Literal["requests", "limits"], dict[str, str]]
    """what it reserves, and at most gets"""
    securityContext: dict[str, Any]
    """what it may do"""
    volumeMounts: list[dict[str, Any]]
    """where volumes are"""


class PodSpec(Value):
    """A pod of the cluster."""

    restartPolicy: Literal["Never", "Always", "OnFailure"]
    """Never: Ray's own recovery takes over"""
    automountServiceAccountToken: bool
    """whether the pod can speak to Kubernetes"""
    serviceAccountName: Subdomain | None = None
    """its account"""
    securityContext: dict[str, Any]
    """what it may do"""
    imagePullSecrets: list[dict[Literal["name"], Subdomain]] = Field(default_factory=list)
    """how the image is had"""
    nodeSelector: dict[str, str] = Field(default_factory=dict)
    """labels of its node"""
    containers: Annotated[list[Container], Field(min_length=1, max_length=1)]
    """Ray's container"""
    volumes: list[dict[str, Any]]
    """volumes"""


class PodTemplate(Value):
    """Template of a pod."""

    spec: PodSpec
    """the pod"""


class HeadGroup(Value):
    """The head."""

    rayStartParams: dict[str, str]
    """options of `ray start`"""
    template: PodTemplate
    """its pod"""


class WorkerGroup(Value):
    """Workers of one kind."""

    groupName: Label
    """name of the group"""
    replicas: Annotated[int, Field(ge=0)]
    """how many"""
    minReplicas: Annotated[int, Field(ge=0)]
    """at least"""
    maxReplicas: Annotated[int, Field(ge=0)]
    """at most"""
    rayStartParams: dict[str, str]
    """options of `ray start`"""
    template: PodTemplate
    """their pod"""

    @model_validator(mode="after")
    def _in_order(self) -> WorkerGroup:
        if not self.minReplicas <= self.replicas <= self.maxReplicas:
            raise wrong(f"replicas is {self.replicas}, wanted a number in [{self.minReplicas}, {self.maxReplicas}]")
        return self


class AuthOptions(Value):
    """Authentication of Ray."""

    mode: Literal["token"]
    """always by token"""


class RayClusterSpec(Value):
    """The cluster."""

    rayVersion: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+")]
    """version of Ray, which authentication needs to be known"""
    authOptions: AuthOptions
    """authentication"""
    headGroupSpec: HeadGroup
    """the head"""
    workerGroupSpecs: list[WorkerGroup]
    """the workers"""


class RayJobSpec(Value):
    """The job."""

    entrypoint: Annotated[str, Field(pattern=r"^[\w./:=+@,\[\]-]+( [\w./:=+@,\[\]-]+)*$")]
    """what is run; plain words, since the operator takes it apart and puts it together again without quotes"""
    submissionMode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]
    """who submits"""
    shutdownAfterJobFinishes: bool
    """whether the cluster ends with the job"""
    ttlSecondsAfterFinished: Annotated[int, Field(ge=0)] = 0
    """how long it stays"""
    activeDeadlineSeconds: Annotated[int, Field(gt=0)]
    """time limit"""
    backoffLimit: Annotated[int, Field(ge=0)] = 0
    """how often it is begun again, on a new cluster"""
    clusterSelector: dict[str, str] | None = None
    """a cluster that is there"""
    submitterPodTemplate: dict[str, Any] | None = None
    """the pod that submits"""
    submitterConfig: dict[str, Any] | None = None
    """how it submits"""
    rayClusterSpec: RayClusterSpec
    """the cluster"""

    @model_validator(mode="after")
    def _operator(self) -> RayJobSpec:
        if self.submissionMode == "SidecarMode":
            extra = [n for n in ("submitterPodTemplate", "submitterConfig", "clusterSelector") if getattr(self, n)]
            if extra:
                raise wrong(f"{extra[0]} is given with SidecarMode, where there is none")
            if self.rayClusterSpec.headGroupSpec.template.spec.restartPolicy != "Never":
                raise wrong("the head's restartPolicy is not Never, which SidecarMode needs")
        if self.backoffLimit and (self.clusterSelector or self.submissionMode == "InteractiveMode"):
            raise wrong(
                "backoffLimit is given with clusterSelector or InteractiveMode, where nothing can be begun again"
            )
        if self.ttlSecondsAfterFinished and not self.shutdownAfterJobFinishes:
            raise wrong("ttlSecondsAfterFinished is given, but the cluster stays: shutdownAfterJobFinishes is false")
        return self


class RayJobManifest(Value):
    """The whole manifest."""

    apiVersion: Literal["ray.io/v1"]
    """version of the API"""
    kind: Literal["RayJob"]
    """kind of the resource"""
    metadata: Metadata
    """name and place"""
    spec: RayJobSpec
    """the job"""


def check_manifest(manifest: dict[str, Any]) -> None:
    """Refuse a manifest that KubeRay would refuse, or would take and then do nothing with."""
    try:
        RayJobManifest.model_validate(manifest)
    except ValidationError as errors:
        raise ConfigError("\n".join(f"RayJob: {line}" for line in explain(errors))) from None

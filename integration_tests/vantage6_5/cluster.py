"""The cluster of the stand-in for Kubernetes: jobs, pods and secrets; a pod is a Docker container.

As kubelet and the job controller do: a failed pod is started again, up to `backoffLimit` times and
after 10, 20, 40 s; a pod that is deleted gets SIGTERM, and SIGKILL after its grace period; a pod
whose image is not there waits. As the network policies of vantage6's chart say, a pod of a central
function reaches its node's proxy and nothing else, and any other pod nothing.

It does not: pull images; have more than one machine, container or hostPath's worth of storage; know
limits, security contexts, probes, service accounts; keep a pod in sight while it ends.
"""

import json
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from threading import Condition, Thread
from typing import Any

from integration_tests.vantage6.containers import DockerError, docker

Thing = dict[str, Any]

KINDS = {"pods": ("v1", "Pod"), "jobs": ("batch/v1", "Job"), "secrets": ("v1", "Secret")}
_CENTRAL = "central_compute"
_ENDED = ("Succeeded", "Failed")
# Of the job controller (Kubernetes, "Pod backoff failure policy"); doubled with each failure.
_BACKOFF_SECONDS = 10.0
# Of a pod (Kubernetes, "Termination of Pods").
_GRACE_SECONDS = 30
_LOOK_SECONDS = 0.05


@dataclass
class Cluster:
    """What there is, and how it behaves.

    Attributes
    ----------
    session : str
        Begins the names of the containers.
    network : str
        Docker's, internal; of central functions.
    ends_every : float
        If not 0, jobs are seen to have ended only at whole multiples of so many seconds: so runs
        end together, of which a node loses all results but one.
    unseen_seconds : float
        For so long after its start a pod is not seen to be running, as kubelet looks only now and
        then: so a short one is seen to have ended only, which a node takes for an error.
    """

    session: str
    network: str
    ends_every: float = 0.0
    unseen_seconds: float = 0.0
    version: int = 1
    namespaces: set[str] = field(default_factory=set)
    things: dict[str, dict[tuple[str, str], Thing]] = field(
        default_factory=lambda: {kind: {} for kind in KINDS}
    )
    changed: Condition = field(default_factory=Condition)

    def create(self, kind: str, namespace: str, thing: Thing) -> bool:
        """Create a thing, and begin what it stands for; returns whether its name was free."""
        key = namespace, thing["metadata"]["name"]
        if key in self.things[kind]:
            return False
        thing["apiVersion"], thing["kind"] = KINDS[kind]
        thing["status"] = {"phase": "Pending"} if kind == "pods" else {}
        thing["metadata"] |= {
            "namespace": namespace,
            "uid": str(uuid.uuid4()),
            "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        with self.changed:
            self.things[kind][key] = thing
        self._show(thing)
        begin = {"pods": self._run_pod, "jobs": self._run_job}.get(kind)
        if begin is not None:
            Thread(target=begin, args=(namespace, thing), daemon=True).start()
        return True

    def delete(self, kind: str, namespace: str, name: str, grace: int | None) -> None:
        """Delete a thing; a pod's container ends within its grace period (seconds)."""
        with self.changed:
            thing = self.things[kind].pop((namespace, name))
        self._show(thing)
        if kind == "pods":
            seconds = _GRACE_SECONDS if grace is None else grace
            Thread(target=self._end_pod, args=(thing, seconds), daemon=True).start()

    def forget(self, run: int) -> None:
        """Lose all that is known of a run, as a cluster does that is set up anew."""
        # The job and its secret have the run's name, and its pods a name that begins with it.
        job = f"vantage6-run-{run}"
        with self.changed:
            for kind, things in self.things.items():
                self.things[kind] = {
                    key: thing
                    for key, thing in things.items()
                    if not f"{key[1]}-".startswith(f"{job}-")
                }

    def selected(self, kind: str, namespace: str, selector: str) -> list[Thing]:
        """Return the things whose labels are what a selector says, by name as from etcd."""
        wanted = dict(part.split("=", 1) for part in selector.split(",") if part)
        with self.changed:
            there = sorted(self.things[kind].items(), key=itemgetter(0))
        return [
            thing
            for (where, _), thing in there
            if where == namespace and wanted.items() <= labels(thing).items()
        ]

    def container(self, pod: Thing) -> str:
        """Return the name of a pod's container."""
        return f"{self.session}-pod-{pod['metadata']['uid']}"

    def _show(self, thing: Thing) -> None:
        """Let those who watch see a thing as it is now."""
        with self.changed:
            self.version += 1
            thing["metadata"]["resourceVersion"] = str(self.version)
            self.changed.notify_all()

    def _there(self, kind: str, thing: Thing) -> bool:
        meta = thing["metadata"]
        return self.things[kind].get((meta["namespace"], meta["name"])) is thing

    def _run_job(self, namespace: str, job: Thing) -> None:
        name, template = job["metadata"]["name"], job["spec"]["template"]
        told = job["metadata"].get("annotations") or {}
        for failures in range(job["spec"]["backoffLimit"] + 1):
            pod = {
                "metadata": {
                    "name": f"{name}-{uuid.uuid4().hex[:5]}",
                    "labels": labels(template) | {"job-name": name},
                    "annotations": {"run_id": told.get("run_id", "")} | labels(job),
                },
                "spec": json.loads(json.dumps(template["spec"])),
            }
            self.create("pods", namespace, pod)
            job["status"]["active"] = 1
            while self._there("pods", pod) and pod["status"]["phase"] not in _ENDED:
                time.sleep(_LOOK_SECONDS)
            if self.ends_every:
                time.sleep(-time.time() % self.ends_every)
            del job["status"]["active"]
            if pod["status"]["phase"] == "Succeeded":
                job["status"]["succeeded"] = 1
                self._show(job)
                return
            job["status"]["failed"] = failures + 1
            self._show(job)
            time.sleep(_BACKOFF_SECONDS * 2**failures)
            if not self._there("jobs", job):
                return

    def _run_pod(self, namespace: str, pod: Thing) -> None:
        container = pod["spec"]["containers"][0]
        secrets: dict[str, str] = {}
        for source in container.get("envFrom") or ():
            secret = self.things["secrets"].get((namespace, source["secretRef"]["name"]))
            if secret is None:
                self._wait_for(pod, "CreateContainerConfigError")
                return
            secrets |= secret.get("stringData") or {}
        self._wait_for(pod, "ContainerCreating")
        if not _present(container["image"]):
            # A pod of no job is a node's probe when it starts. Its image is not to be had here; it
            # would wait for it until the node gives up.
            if "job-name" in labels(pod):
                self._wait_for(pod, "ErrImagePull")
            else:
                self._ended(pod, 127)
            return
        try:
            docker(*self._command(pod, secrets))
        except DockerError:
            self._wait_for(pod, "RunContainerError")
            return
        Thread(target=self._see_running, args=(pod,), daemon=True).start()
        self._ended(pod, _exit_code(self.container(pod)))

    def _see_running(self, pod: Thing) -> None:
        time.sleep(self.unseen_seconds)
        with self.changed:
            if pod["status"]["phase"] not in _ENDED:
                self._set(pod, "Running", {"running": {}})

    def _ended(self, pod: Thing, code: int) -> None:
        with self.changed:
            self._set(pod, "Failed" if code else "Succeeded", {"terminated": {"exitCode": code}})

    def _wait_for(self, pod: Thing, reason: str) -> None:
        self._set(pod, "Pending", {"waiting": {"reason": reason}})

    def _set(self, pod: Thing, phase: str, state: Thing) -> None:
        container = pod["spec"]["containers"][0]
        about = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": phase == "Running",
            "restartCount": 0,
            "state": state,
        }
        pod["status"] = {"phase": phase, "containerStatuses": [about]}
        self._show(pod)

    def _end_pod(self, pod: Thing, seconds: int) -> None:
        name = self.container(pod)
        for command in (("stop", "--time", str(seconds), name), ("rm", "--force", name)):
            try:
                docker(*command)
            except DockerError:
                return  # it never had a container, or the stack has ended meanwhile

    def _command(self, pod: Thing, secrets: Mapping[str, str]) -> list[str]:
        """Return the `docker run` of a pod."""
        container = pod["spec"]["containers"][0]
        network = self.network if labels(pod).get("role") == _CENTRAL else "none"
        command = ["run", "--detach", "--name", self.container(pod), "--network", network]
        # As of a vantage6 4 container, so that both are found in the same way.
        about = pod["metadata"].get("annotations") or {}
        command += ["--label", f"node={about.get('node_id', '')}"]
        command += ["--label", f"run_id={about.get('run_id') or 0}"]
        command += ["--label", "vantage6-type=algorithm"]
        if container.get("tty"):
            command.append("--tty")
        environment = {each["name"]: each["value"] for each in container.get("env") or ()}
        for name, value in {**environment, **secrets}.items():
            command += ["--env", f"{name}={value}"]
        paths = {
            each["name"]: each["hostPath"]["path"] for each in pod["spec"].get("volumes") or ()
        }
        for mount in container.get("volumeMounts") or ():
            mode = ":ro" if mount.get("readOnly") else ""
            command += ["--volume", f"{paths[mount['name']]}:{mount['mountPath']}{mode}"]
        return [*command, container["image"]]


def labels(thing: Thing) -> dict[str, str]:
    """Return the labels of a thing."""
    return thing["metadata"].get("labels") or {}


def _present(image: str) -> bool:
    try:
        docker("image", "inspect", image)
    except DockerError:
        return False
    return True


def _exit_code(container: str) -> int:
    """Wait until a container has ended; returns how."""
    waiting = subprocess.run(
        ["docker", "wait", container],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return int(waiting.stdout or 137)  # one that was removed was killed

"""Starts pods with Docker as they are rendered: what a kubelet does, as far as Docker can.

Image, command, args, environment (with `$(NAME)`), user, groups, capabilities, read-only root,
mounts, memory and CPU limits, probes. A Service is a network alias, so its port must be the
container's. What runs inside is not known here.
"""

import base64
import re
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

from tests.deploy.manifests import Manifest, named, of_kind, pod, pod_labels
from tests.system.containers import docker, inspect

Secrets = dict[str, dict[str, str]]
UNITS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "m": 0.001}


def amount(quantity: str) -> float:
    """A Kubernetes quantity as a number."""
    found = re.fullmatch(r"(\d+)(\w*)", quantity)
    assert found, quantity
    return int(found[1]) * UNITS[found[2]]


@dataclass
class Cluster:
    """One overlay on one Docker network; everything it makes carries `name`."""

    overlay: str
    name: str
    secrets: Secrets
    made: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Make the network of the namespace."""
        docker("network", "create", self.name)

    def close(self) -> None:
        """Remove whatever was made."""
        for container in self.made:
            docker("rm", "-f", "-v", container, check=False)
        for volume in self.volumes:
            docker("volume", "rm", "-f", volume, check=False)
        docker("network", "rm", self.name, check=False)

    def start(self, workload: Manifest, number: int = 0) -> str:
        """Start the one container of a pod of this workload; returns its name."""
        spec = pod(workload)
        (container,) = spec["containers"]
        name = f"{self.name}-{workload['metadata']['name']}-{number}"
        words = ["run", "-d", "--name", name, "--network", self.name, "--restart", "always"]
        for service in of_kind(self.overlay, "Service"):
            if service["spec"]["selector"].items() <= pod_labels(workload).items():
                words += ["--network-alias", service["metadata"]["name"]]
        words += self._rights(spec, container)
        words += self._limits(spec, container)
        environment = self._environment(container)
        for key, value in environment.items():
            words += ["-e", f"{key}={value}"]
        words += self._mounts(workload, container, name)
        for port in container.get("ports", []):
            words += ["-p", f"127.0.0.1::{port['containerPort']}"]
        command = [expand(w, environment) for w in container.get("command", [])]
        arguments = [expand(w, environment) for w in container.get("args", [])]
        if command:
            words += ["--entrypoint", command[0]]
        docker(*words, container["image"], *command[1:], *arguments)
        self.made.append(name)
        return name

    def _rights(self, spec: Manifest, container: Manifest) -> list[str]:
        who, rights = spec["securityContext"], container["securityContext"]
        words = ["--user", f"{who['runAsUser']}:{who['runAsGroup']}"]
        words += ["--group-add", str(who["fsGroup"])]
        for capability in rights["capabilities"]["drop"]:
            words += ["--cap-drop", capability]
        if rights["allowPrivilegeEscalation"] is False:
            words += ["--security-opt", "no-new-privileges:true"]
        if rights["readOnlyRootFilesystem"]:
            words.append("--read-only")
        return words

    def _limits(self, spec: Manifest, container: Manifest) -> list[str]:
        limits = container["resources"]["limits"]
        return [
            "--memory",
            str(int(amount(limits["memory"]))),
            "--cpus",
            str(amount(limits["cpu"])),
            "--stop-timeout",
            str(spec["terminationGracePeriodSeconds"]),
        ]

    def _environment(self, container: Manifest) -> dict[str, str]:
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            found.update(named(self.overlay, "ConfigMap", source["configMapRef"]["name"])["data"])
        for entry in container.get("env", []):
            if "valueFrom" in entry:
                secret = entry["valueFrom"]["secretKeyRef"]
                found[entry["name"]] = self.secrets[secret["name"]][secret["key"]]
            else:
                found[entry["name"]] = expand(entry["value"], found)
        return found

    def _mounts(self, workload: Manifest, container: Manifest, name: str) -> list[str]:
        spec, words = pod(workload), []
        sources = {v["name"]: v for v in spec.get("volumes", [])}
        for template in workload["spec"].get("volumeClaimTemplates", []):
            sources[template["metadata"]["name"]] = {"emptyDir": {}}
        for mount in container.get("volumeMounts", []):
            volume = f"{name}-{mount['name']}"
            self._fill(volume, sources[mount["name"]], spec, container["image"])
            # nocopy: Docker would give an empty volume the owner of the image's folder
            mode = "ro,nocopy" if mount.get("readOnly") else "nocopy"
            words += ["-v", f"{volume}:{mount['mountPath']}:{mode}"]
        return words

    def _fill(self, volume: str, source: dict[str, Any], spec: Manifest, image: str) -> None:
        """Make a volume that belongs to fsGroup, with the files of a Secret in it."""
        docker("volume", "create", volume)
        self.volumes.append(volume)
        group = spec["securityContext"]["fsGroup"]
        script = f"chown 0:{group} /v && chmod 2777 /v"
        if "secret" in source:
            for key, value in self.secrets[source["secret"]["secretName"]].items():
                text = base64.b64encode(value.encode()).decode()
                script += f" && echo {text} | base64 -d > /v/{key} && chmod 644 /v/{key}"
        else:
            assert "emptyDir" in source, source
        words = ["run", "--rm", "--user", "0:0", "--entrypoint", "sh", "-v", f"{volume}:/v"]
        docker(*words, image, "-c", script)


def expand(text: str, environment: dict[str, str]) -> str:
    """Replace `$(NAME)` where NAME is known, as Kubernetes does."""
    return re.sub(r"\$\((\w+)\)", lambda m: environment.get(m[1], m[0]), text)


def published(container: str, port: int) -> str:
    """Where a container's port can be reached from here, as host:port."""
    (binding,) = inspect(container)["NetworkSettings"]["Ports"][f"{port}/tcp"]
    return f"{binding['HostIp']}:{binding['HostPort']}"


def probe(workload: Manifest, kind: str, container: str) -> bool:
    """Whether one of the pod's probes succeeds now."""
    (spec,) = pod(workload)["containers"]
    asked = spec[kind]
    ports = {p["name"]: p["containerPort"] for p in spec["ports"]}
    seconds = asked.get("timeoutSeconds", 1)
    if "exec" in asked:
        done = docker("exec", container, *asked["exec"]["command"], check=False)
        return done.returncode == 0
    kind = "httpGet" if "httpGet" in asked else "tcpSocket"
    try:
        host, port = published(container, ports[asked[kind]["port"]]).split(":")
        if kind == "tcpSocket":
            socket.create_connection((host, int(port)), seconds).close()
            return True
        url = f"http://{host}:{port}{asked[kind]['path']}"
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return bool(200 <= answer.status < 400)
    except (urllib.error.URLError, OSError, KeyError):
        return False

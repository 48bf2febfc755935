"""The cluster that is tried: kubectl and helm in one namespace, pods of the tools' image, and what was said."""

import contextlib
import json
import os
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CHART = os.path.join(ROOT, "helm", "torchmesh")
BEGAN = time.monotonic()
RELEASE = "mesh"
NAME = f"{RELEASE}-torchmesh"
SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}


class Cluster:
    """kubectl and helm in one namespace, and what is said of them."""

    def __init__(self, options):
        self.options = options
        self.lines = []
        self.phases = []

    def say(self, text):
        """A line of the transcript."""
        for line in text.splitlines():
            line = f"{time.monotonic() - BEGAN:7.1f} s  {line}"
            self.lines.append(line)
            print(line, flush=True)

    def run(self, *command, given=None, quiet=False):
        """Runs a command and answers what it prints."""
        if not quiet:
            self.say("$ " + " ".join(command))
        answer = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if answer.returncode != 0:
            raise SystemExit(f"error: {' '.join(command)}\n{answer.stdout}{answer.stderr}")
        return answer.stdout

    def kubectl(self, *arguments, given=None, quiet=False):
        """kubectl in the namespace."""
        return self.run("kubectl", "--namespace", self.options.namespace, *arguments, given=given, quiet=quiet)

    def helm(self, verb, *arguments):
        """helm in the namespace."""
        return self.run("helm", verb, RELEASE, *arguments, "--namespace", self.options.namespace)

    def values(self):
        """The arguments that name the values."""
        files = [os.path.join(HERE, "values.yaml"), *self.options.values]
        return [argument for file in files for argument in ("--values", file)]

    def upgrade(self, *settings, verb="upgrade"):
        """Installs or upgrades, and waits until all is ready."""
        extra = [argument for setting in settings for argument in ("--set", setting)]
        self.helm(verb, CHART, *self.values(), *extra, "--wait", "--timeout", "5m")

    def revision(self):
        """The release's revision."""
        return int(json.loads(self.run("helm", "list", "-o", "json", "--namespace", self.options.namespace, quiet=True))[0]["revision"])

    def pods(self, selector):
        """The pods of a component that are not on their way out."""
        found = json.loads(self.kubectl("get", "pods", "-l", selector, "-o", "json", quiet=True))["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def served(self, version):
        """Calls that the workers of a version of minilm have had."""
        total = 0
        for pod in self.pods(f"torchmesh/model=minilm,torchmesh/version={version}"):
            path = f"/api/v1/namespaces/{self.options.namespace}/pods/{pod['metadata']['name']}:9082/proxy/metrics"
            page = self.run("kubectl", "get", "--raw", path, quiet=True)
            total += sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith("torchmesh_worker_requests_total"))
        return int(total)

    def tool(self, *arguments, given=None):
        """meshctl, in the pod that has it."""
        flag = ["-i"] if given else []
        return self.kubectl("exec", *flag, "tools", "--", "meshctl", "--home", "/tmp", *arguments, given=given)

    def settle(self):
        """Waits until everything is ready again."""
        for _ in range(120):
            pods = self.pods(f"app.kubernetes.io/instance={RELEASE}")
            if all(status["ready"] for pod in pods if pod["metadata"]["name"] != f"{NAME}-test" for status in pod["status"].get("containerStatuses", [{"ready": False}])):
                return
            time.sleep(1)
        raise SystemExit("error: not everything is ready again")

    @contextlib.contextmanager
    def phase(self, title):
        """Something that happens under load."""
        self.say(f"--- {title}")
        began, clock = time.time(), time.monotonic()
        yield
        took = time.monotonic() - clock
        # What is still under way belongs to it too.
        time.sleep(8)
        self.phases.append((title, began, time.time(), took))
        self.say(f"    took {took:.1f} s")

    def tools_image(self):
        """The image with meshctl and Python, and when it is pulled."""
        values = json.loads(self.run("helm", "get", "values", RELEASE, "--all", "-o", "json", "--namespace", self.options.namespace, quiet=True))
        release = json.loads(self.run("helm", "list", "-o", "json", "--namespace", self.options.namespace, quiet=True))[0]
        tag = values["image"]["tag"] or release["app_version"]
        name = "/".join(filter(None, [values["image"]["registry"], values["routes"]["image"]["repository"]]))
        return f"{name}:{tag}", values["image"]["pullPolicy"]

    def apply(self, *objects):
        """Makes objects, or makes them so."""
        self.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}), quiet=True)


def tools_pod(name, command, env, image):
    """A pod of the tools' image (its name, and when it is pulled), with the labels that network policies let in."""
    labels = {"app.kubernetes.io/name": "torchmesh", "app.kubernetes.io/instance": RELEASE, "app.kubernetes.io/component": "tools", "tm-test": name}
    mounts = [{"name": "load", "mountPath": "/load"}, {"name": "tmp", "mountPath": "/tmp"}]
    container = {"name": name, "image": image[0], "imagePullPolicy": image[1], "command": command, "env": env, "securityContext": SECURITY, "volumeMounts": mounts}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "automountServiceAccountToken": False, "enableServiceLinks": False, "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            # Both on one node, which is not the one that is emptied.
            "affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": {"labelSelector": {"matchExpressions": [{"key": "tm-test", "operator": "Exists"}]}, "topologyKey": "kubernetes.io/hostname"}}]}},
            "containers": [container],
            "volumes": [{"name": "load", "configMap": {"name": "load"}}, {"name": "tmp", "emptyDir": {}}],
        },
    }  # fmt: skip

#!/usr/bin/env python3
"""Installs torchmesh on the cluster that KUBECONFIG names, and changes and breaks it under load: `make test-cluster`.

What must hold: no call fails that has two seconds. The transcript, with times, goes to standard output; --transcript keeps it.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
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


def prepare(cluster):
    """The namespace with the restricted standard, and a claim of the models."""
    cluster.say(cluster.run("kubectl", "version"))
    cluster.say(cluster.run("kubectl", "get", "nodes", "-o", "wide"))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.options.namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.run("kubectl", "apply", "-f", "-", given=json.dumps(namespace))
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"},
        "spec": {"accessModes": ["ReadOnlyMany"], "storageClassName": "models", "resources": {"requests": {"storage": "1Gi"}}},
    }  # fmt: skip
    cluster.kubectl("apply", "-f", "-", given=json.dumps(claim))


def start_pods(cluster):
    """A pod with meshctl, and one that calls."""
    image = json.loads(cluster.run("helm", "get", "values", RELEASE, "--all", "-o", "json", "--namespace", cluster.options.namespace, quiet=True))
    tag = image["image"]["tag"] or json.loads(cluster.run("helm", "list", "-o", "json", "--namespace", cluster.options.namespace, quiet=True))[0]["app_version"]
    name = "/".join(filter(None, [image["image"]["registry"], image["routes"]["image"]["repository"]])) + f":{tag}"
    policy = image["image"]["pullPolicy"]
    cluster.kubectl("create", "configmap", "load", f"--from-file={HERE}/load.py", quiet=True)
    cluster.kubectl("apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        pod("tools", name, policy, ["sleep", "infinity"], [{"name": "TORCHMESH_ROUTER_ADDR", "value": f"{NAME}-router:8081"}]),
        pod("load", name, policy, ["python3", "/load/load.py", f"{NAME}-gateway", "3600"], [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": f"{NAME}-first-key", "key": "key"}}}]),
    ]}), quiet=True)  # fmt: skip
    cluster.kubectl("wait", "--for=condition=Ready", "pod/tools", "pod/load", "--timeout=60s", quiet=True)


def pod(name, image, policy, command, env):
    """A pod of tools, with the labels that network policies let in."""
    labels = {"app.kubernetes.io/name": "torchmesh", "app.kubernetes.io/instance": RELEASE, "app.kubernetes.io/component": "tools", "tm-test": name}
    mounts = [{"name": "load", "mountPath": "/load"}, {"name": "tmp", "mountPath": "/tmp"}]
    container = {"name": name, "image": image, "imagePullPolicy": policy, "command": command, "env": env, "securityContext": SECURITY, "volumeMounts": mounts}
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


def first_calls(cluster):
    """Embeddings and a chat that streams, through the gateway's Service."""
    ask = (
        "import http.client,json,os,time\n"
        "def post(path, body):\n"
        f"    c = http.client.HTTPConnection('{NAME}-gateway', timeout=30); began = time.monotonic()\n"
        "    c.request('POST', path, json.dumps(body), {'Authorization': 'Bearer ' + os.environ['KEY'], 'Content-Type': 'application/json'})\n"
        "    return c.getresponse(), began\n"
        "a, began = post('/v1/embeddings', {'model': 'minilm', 'input': 'A man is eating food.'})\n"
        "v = json.loads(a.read())['data'][0]['embedding']\n"
        "print(f'embeddings: {a.status}, {len(v)} numbers in {(time.monotonic() - began) * 1000:.0f} ms')\n"
        "a, began = post('/v1/chat/completions', {'model': 'smollm2', 'stream': True, 'temperature': 0, 'messages': [{'role': 'user', 'content': 'What is the capital of France?'}]})\n"
        "n, text, first = 0, '', None\n"
        "for line in a:\n"
        "    line = line.decode().strip()\n"
        "    if line.startswith('data: {'):\n"
        "        n += 1; first = first or time.monotonic() - began; choices = json.loads(line[6:])['choices']; text += (choices[0]['delta'].get('content') or '') if choices else ''\n"
        "print(f'chat: {a.status}, {n} events, the first after {first * 1000:.0f} ms, the last after {(time.monotonic() - began) * 1000:.0f} ms: {text}')\n"
    )
    cluster.say(cluster.kubectl("exec", "load", "--", "python3", "-c", ask, quiet=True))


def new_version(cluster):
    """Version 2: there, without calls; then step by step; then back."""
    with cluster.phase("helm upgrade: every pod of gateway and router is replaced"):
        cluster.upgrade("gateway.podAnnotations.turn=second", "router.podAnnotations.turn=second")
    with cluster.phase("helm upgrade: minilm has a version 2"):
        cluster.upgrade("gateway.podAnnotations.turn=second", "router.podAnnotations.turn=second", "models[0].versions={1,2}")
    time.sleep(10)
    calls = cluster.served(2)
    cluster.say(f"version 2 is ready and has had {calls} calls: its route leads to version 1")
    if calls:
        raise SystemExit("error: a version without a route has had calls")
    with cluster.phase("a rollout: half of the calls, then all"):
        cluster.say(cluster.tool("rollout", "start", "minilm", "--to", "2", "--steps", "50,100", "--every", "5s", "--max-error-rate", "20%", "--max-p99", "10x"))
        cluster.say(cluster.tool("rollout", "status", "minilm", "--watch"))
        cluster.say(cluster.tool("route", "get"))
        cluster.say(f"version 2 has had {cluster.served(2)} calls")


def refused(cluster):
    """An upgrade that would take away the version that answers."""
    command = ["helm", "upgrade", RELEASE, CHART, "--namespace", cluster.options.namespace, *cluster.values(), "--set", "models[0].versions={1}", "--timeout", "2m"]
    with cluster.phase("helm upgrade without version 2, which answers: refused"):
        cluster.say("$ " + " ".join(command))
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            raise SystemExit("error: the version that answers was taken away")
        cluster.say(cluster.kubectl("logs", f"job/{NAME}-routes-keep", quiet=True))


def back(cluster, revision):
    """helm rollback: the route leads to version 1 before version 2 goes."""
    with cluster.phase(f"helm rollback to revision {revision}"):
        cluster.helm("rollback", str(revision), "--wait", "--timeout", "5m")
    cluster.say(cluster.tool("route", "get"))


def breakages(cluster):
    """Nodes, pods and memory."""
    own = json.loads(cluster.kubectl("get", "pod", "load", "-o", "json", quiet=True))["spec"]["nodeName"]
    nodes = [node["metadata"]["name"] for node in json.loads(cluster.run("kubectl", "get", "nodes", "-o", "json", quiet=True))["items"]]
    others = [node for node in nodes if node != own]
    if others:
        with cluster.phase(f"kubectl drain {others[0]}"):
            cluster.say(cluster.run("kubectl", "drain", others[0], "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=300s"))
        cluster.run("kubectl", "uncordon", others[0])
    else:
        cluster.say("one node only: nothing is drained")
    cluster.settle()
    for component in ("worker", "router", "gateway"):
        selector = f"app.kubernetes.io/component={component}" + (",torchmesh/model=minilm" if component == "worker" else "")
        victim = cluster.pods(selector)[0]["metadata"]["name"]
        with cluster.phase(f"a {component} is killed"):
            cluster.kubectl("delete", "pod", victim, "--grace-period=0", "--force")
        cluster.settle()
    if cluster.options.oom:
        out_of_memory(cluster)


def out_of_memory(cluster):
    """A worker of minilm runs out of memory while it is called."""
    victim = cluster.pods("torchmesh/model=minilm")[0]
    name = victim["metadata"]["name"]
    with cluster.phase("a worker runs out of memory"):
        cluster.run(cluster.options.oom, victim["status"]["containerStatuses"][0]["containerID"])
        while True:
            status = json.loads(cluster.kubectl("get", "pod", name, "-o", "json", quiet=True))["status"]["containerStatuses"][0]
            if status["restartCount"] and status.get("ready"):
                break
            time.sleep(0.5)
        ended = status["lastState"]["terminated"]
        cluster.say(f"{name}: {ended['reason']}, exit code {ended['exitCode']}; restarted and ready again")


def usage(cluster):
    """What the accounts have written down of all these calls."""
    token = cluster.kubectl("get", "secret", f"{NAME}-tokens", "-o", "go-template={{index .data \"operator.token\" | base64decode}}", quiet=True)
    cluster.kubectl("exec", "-i", "tools", "--", "sh", "-c", "cat > /tmp/operator.token", given=token, quiet=True)
    cluster.say(cluster.tool("accounts", "usage", "--accounts-addr", f"{NAME}-accounts:8083", "--token-file", "/tmp/operator.token"))


def report(cluster):
    """What the callers saw, phase by phase; answers whether none was let down."""
    seconds = [json.loads(line) for line in cluster.kubectl("logs", "load", quiet=True).splitlines() if line.startswith("{")]
    cluster.say("what callers saw:")
    cluster.say(f"{'':52} {'calls':>6} {'failed':>6} {'again':>6} {'worst':>8} {'streams':>8} {'broken':>6}")
    whole = ("all of it", 0, float("inf"), 0)
    for title, began, ended, _ in [*cluster.phases, whole]:
        own = [second for second in seconds if began <= second["at"] <= ended + 1]
        total = {key: sum(second[key] for second in own) for key in ("ok", "failed", "retried", "streams", "broken_streams")}
        worst = max((second["worst_ms"] for second in own), default=0)
        cluster.say(f"{title[:52]:52} {total['ok'] + total['failed']:6} {total['failed']:6} {total['retried']:6} {worst:5} ms {total['streams']:8} {total['broken_streams']:6}")
    for second in seconds:
        for error in second["errors"]:
            cluster.say(f"at {second['at'] - seconds[0]['at']:.0f} s of the load: {error}")
    return total["failed"] == 0


def main():
    """All of it; exit code 0 when no call failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", default="torchmesh-test", help="it is made, and left with the release in it (default: %(default)s)")
    parser.add_argument("--values", action="append", default=[], help="further values, such as where the images are")
    parser.add_argument("--oom", help="a program that makes a container, named by its id, run out of memory (tests/cluster/oom.sh)")
    parser.add_argument("--transcript", help="a file for the transcript")
    cluster = Cluster(parser.parse_args())
    prepare(cluster)
    cluster.say("--- helm install")
    clock = time.monotonic()
    cluster.upgrade(verb="install")
    cluster.say(f"    took {time.monotonic() - clock:.1f} s")
    cluster.say(cluster.kubectl("get", "pods", "-o", "wide"))
    cluster.say(cluster.helm("test", "--logs"))
    start_pods(cluster)
    first_calls(cluster)
    new_version(cluster)
    refused(cluster)
    back(cluster, 2)
    breakages(cluster)
    usage(cluster)
    good = report(cluster)
    cluster.say("no call failed" if good else "error: calls failed")
    if cluster.options.transcript:
        with open(cluster.options.transcript, "w", encoding="utf-8") as file:
            file.write("\n".join(cluster.lines) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

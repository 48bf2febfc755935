#!/usr/bin/env python3
"""Installs torchmesh on the cluster that KUBECONFIG names, and changes and breaks it under load: `make test-cluster`.

What must hold: no call fails that has two seconds. The transcript, with times, goes to standard output; --transcript keeps it.
"""

import argparse
import json
import subprocess
import sys
import time

from cluster import CHART, HERE, NAME, RELEASE, Cluster, tools_pod
import scaling

# What may be tried of it, in this order.
PARTS = ("upgrade", "rollout", "breakages", "scaling")
TURNED = ("gateway.podAnnotations.turn=second", "router.podAnnotations.turn=second")


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
    image = cluster.tools_image()
    cluster.kubectl("create", "configmap", "load", f"--from-file={HERE}/load.py", f"--from-file={HERE}/busy.py", quiet=True)
    key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": f"{NAME}-first-key", "key": "key"}}}
    cluster.apply(
        tools_pod("tools", ["sleep", "infinity"], [{"name": "TORCHMESH_ROUTER_ADDR", "value": f"{NAME}-router:8081"}], image),
        tools_pod("load", ["python3", "/load/load.py", f"{NAME}-gateway", "3600"], [key], image),
    )
    cluster.kubectl("wait", "--for=condition=Ready", "pod/tools", "pod/load", "--timeout=60s", quiet=True)


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


def portal_and_pipelines(cluster):
    """What a pipeline answers, and the portal's list of models, which the gateway has given it."""
    tensor = {"shape": [1, 4], "datatype": "INT64"}
    body = {"inputs": [{"name": "ids", "data": [101, 1037, 2158, 102], **tensor}, {"name": "mask", "data": [1, 1, 1, 1], **tensor}]}
    ask = (
        "import http.client,json,os\n"
        f"c = http.client.HTTPConnection('{NAME}-gateway', timeout=30)\n"
        f"c.request('POST', '/v2/models/vectors/infer', {json.dumps(json.dumps(body))}, {{'Authorization': 'Bearer ' + os.environ['KEY'], 'Content-Type': 'application/json'}})\n"
        "a = c.getresponse(); one = json.loads(a.read())['outputs'][0]; print('pipeline vectors:', a.status, one['name'], one['shape'])\n"
    )
    cluster.say(cluster.kubectl("exec", "load", "--", "python3", "-c", ask, quiet=True))
    page = cluster.run("kubectl", "get", "--raw", f"/api/v1/namespaces/{cluster.options.namespace}/services/{NAME}-portal:http/proxy/models", quiet=True)
    listed = [model for model in ("minilm", "smollm2", "vectors") if f">{model}<" in page]
    cluster.say(f"the portal lists {', '.join(listed)}")
    if len(listed) != 3:
        raise SystemExit(f"error: models are missing on the portal's page\n{page}")


def replaced(cluster):
    """Every pod of gateway and router makes room for another."""
    with cluster.phase("helm upgrade: every pod of gateway and router is replaced"):
        cluster.upgrade(*TURNED)


def rollout(cluster):
    """Version 2: there, without calls; then step by step; then back."""
    before = cluster.revision()
    with cluster.phase("helm upgrade: minilm has a version 2"):
        cluster.upgrade(*TURNED, "models[0].versions={1,2}")
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
    refused(cluster)
    back(cluster, before)


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
    parser.add_argument("--parts", default=",".join(PARTS), help="what is tried after the installation; rollout needs routes that are kept in Consul or in Kubernetes (default: %(default)s)")
    cluster = Cluster(parser.parse_args())
    parts = cluster.options.parts.split(",")
    if set(parts) - set(PARTS):
        parser.error(f"--parts: one or several of {','.join(PARTS)}")
    good = tried(cluster, parts)
    if cluster.options.transcript:
        with open(cluster.options.transcript, "w", encoding="utf-8") as file:
            file.write("\n".join(cluster.lines) + "\n")
    return 0 if good else 1


def tried(cluster, parts):
    """Installs it and tries the parts; answers whether all was good."""
    prepare(cluster)
    cluster.say("--- helm install")
    clock = time.monotonic()
    cluster.upgrade(verb="install")
    cluster.say(f"    took {time.monotonic() - clock:.1f} s")
    cluster.say(cluster.kubectl("get", "pods", "-o", "wide"))
    cluster.say(cluster.helm("test", "--logs"))
    start_pods(cluster)
    first_calls(cluster)
    portal_and_pipelines(cluster)
    for part, does in (("upgrade", replaced), ("rollout", rollout), ("breakages", breakages)):
        if part in parts:
            does(cluster)
    usage(cluster)
    good = report(cluster)
    cluster.say("no call failed" if good else "error: calls failed")
    if "scaling" in parts:
        good = scaling.scale(cluster) and good
        cluster.say("no call failed, and no stream was cut" if good else "error: not all was good")
    return good


if __name__ == "__main__":
    sys.exit(main())

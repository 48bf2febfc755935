"""A HorizontalPodAutoscaler follows what waits, and no stream is cut when it takes pods away."""

import base64
import collections
import json
import os
import subprocess
import tempfile
import time

from cluster import HERE, NAME, SECURITY, tools_pod

ADAPTER = "custom-metrics"
API = "v1beta2.custom.metrics.k8s.io"
MOST = 3
# Of each model: quick to go down, so that it can be waited for.
SCALING = ("enabled=true", "minReplicas=1", f"maxReplicas={MOST}", "target=2", "behavior.scaleDown.stabilizationWindowSeconds=15")
SETTINGS = [f"models[{number}].autoscaling.{setting}" for number in (0, 1) for setting in SCALING] + ["models[1].manifest.max_running=2"]


def adapter(cluster):
    """Serves metrics of pods to the cluster, unless somebody does; answers whether it is ours."""
    if subprocess.run(["kubectl", "get", "apiservice", API], capture_output=True, check=False).returncode == 0:
        cluster.say(f"{API} is served already")
        return False
    namespace = cluster.options.namespace
    host = f"{ADAPTER}.{namespace}.svc"
    with tempfile.TemporaryDirectory() as folder:
        cert, key = os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key")
        request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
        cluster.run(*request, "-keyout", key, "-out", cert, quiet=True)
        secret = cluster.kubectl("create", "secret", "tls", ADAPTER, f"--cert={cert}", f"--key={key}", "--dry-run=client", "-o", "json", quiet=True)
        with open(cert, "rb") as file:
            authority = base64.b64encode(file.read()).decode()
    script = cluster.kubectl("create", "configmap", ADAPTER, f"--from-file={HERE}/custom_metrics.py", "--dry-run=client", "-o", "json", quiet=True)
    cluster.apply(json.loads(secret), json.loads(script), *adapter_objects(namespace, cluster.tools_image(), authority))
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{ADAPTER}", "--timeout=60s", quiet=True)
    cluster.run("kubectl", "wait", "--for=condition=Available", f"apiservice/{API}", "--timeout=60s", quiet=True)
    return True


def adapter_objects(namespace, image, authority):
    """Its account, which may list pods, its pod, its Service, and what tells the API server of it."""
    meta = {"name": ADAPTER, "labels": {"app": ADAPTER}}
    container = {
        "name": "serve", "image": image[0], "imagePullPolicy": image[1], "securityContext": SECURITY,
        "command": ["python3", "/script/custom_metrics.py", "/cert/tls.crt", "/cert/tls.key"],
        "readinessProbe": {"tcpSocket": {"port": 6443}, "periodSeconds": 1},
        "volumeMounts": [{"name": "script", "mountPath": "/script"}, {"name": "cert", "mountPath": "/cert"}],
    }  # fmt: skip
    spec = {
        "serviceAccountName": ADAPTER, "containers": [container],
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "script", "configMap": {"name": ADAPTER}}, {"name": "cert", "secret": {"secretName": ADAPTER, "defaultMode": 288}}],
    }  # fmt: skip
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ADAPTER}
    service = {"name": ADAPTER, "namespace": namespace, "port": 443}
    api = {"group": "custom.metrics.k8s.io", "version": "v1beta2", "groupPriorityMinimum": 100, "versionPriority": 200, "service": service, "caBundle": authority}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta, "roleRef": role, "subjects": [{"kind": "ServiceAccount", "name": ADAPTER}]},
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": {"app": ADAPTER}, "ports": [{"port": 443, "targetPort": 6443}]}},
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": API}, "spec": api},
    ]


class Watched:
    """A model's HorizontalPodAutoscaler, and those of its pods that are ended."""

    def __init__(self, cluster, model, metric):
        self.cluster, self.model, self.metric = cluster, model, metric
        self.name = f"{NAME}-{model}-v1"
        self.said = None
        # Pods that are ended: when that was seen, and how many sequences they were writing then.
        self.leaving, self.gone = {}, {}

    def until(self, what, patience=300):
        """Looks until this holds of (what is measured, pods that are wanted, pods that are ready), and says each change."""
        end = time.monotonic() + patience
        while True:
            seen = self.look()
            if seen != self.said:
                self.cluster.say(f"{self.model}: {self.metric} {seen[0]} for each pod, {seen[1]} wanted, {seen[2]} ready")
                self.said = seen
            if what(*seen):
                return
            if time.monotonic() > end:
                self.cluster.say(self.cluster.kubectl("describe", "hpa", self.name, quiet=True))
                raise SystemExit(f"error: {self.model} is not where it should be after {patience} s")
            time.sleep(0.5)

    def look(self):
        """The three figures."""
        scaler = json.loads(self.cluster.kubectl("get", "hpa", self.name, "-o", "json", quiet=True))
        current = [one["pods"]["current"]["averageValue"] for one in scaler["status"].get("currentMetrics") or [] if "pods" in one]
        found = json.loads(self.cluster.kubectl("get", "pods", "-l", f"torchmesh/model={self.model}", "-o", "json", quiet=True))["items"]
        self.follow(found)
        ready = sum(self.name in pod["metadata"]["name"] and is_ready(pod) for pod in found)
        return (current[0] if current else "unknown", scaler["status"].get("desiredReplicas", 0), ready)

    def follow(self, found):
        """Notes which pods begin to end, and which are gone."""
        there = set()
        for pod in found:
            name = pod["metadata"]["name"]
            there.add(name)
            if "deletionTimestamp" in pod["metadata"] and name not in self.leaving:
                self.leaving[name] = (time.monotonic(), self.running(name))
                self.cluster.say(f"{name} is to end, and is writing {self.leaving[name][1]} answers")
        for name in set(self.leaving) - there - set(self.gone):
            self.gone[name] = time.monotonic() - self.leaving[name][0]
            self.cluster.say(f"{name} is gone after {self.gone[name]:.1f} s")

    def running(self, pod):
        """How many sequences a pod is writing."""
        path = f"/api/v1/namespaces/{self.cluster.options.namespace}/pods/{pod}:9082/proxy/metrics"
        answer = subprocess.run(["kubectl", "get", "--raw", path], capture_output=True, text=True, check=False).stdout
        figures = [line.rsplit(" ", 1)[1] for line in answer.splitlines() if line.startswith("torchmesh_worker_running_sequences{")]
        return round(float(figures[0])) if figures else 0


def is_ready(pod):
    """Whether a pod is ready, and not on its way out."""
    return "deletionTimestamp" not in pod["metadata"] and all(status["ready"] for status in pod["status"].get("containerStatuses", [{"ready": False}]))


def callers(cluster, kind, number):
    """From now on so many call at once."""
    cluster.say(f"{number} at once: {kind.lower()}")
    cluster.kubectl("exec", "busy", "--", "sh", "-c", f"echo {number} > /tmp/{kind}", quiet=True)


def outcome(cluster, good):
    """What the callers saw; answers whether it was good."""
    calls = [json.loads(line) for line in cluster.kubectl("logs", "busy", quiet=True).splitlines() if line.startswith("{")]
    total = collections.Counter(call["kind"] for call in calls)
    failed = [call for call in calls if call["error"]]
    longest = {kind: max(call["seconds"] for call in calls if call["kind"] == kind) for kind in total}
    for kind in sorted(total):
        cluster.say(f"{kind.lower()}: {total[kind]}, of them {sum(call['kind'] == kind for call in failed)} failed or broken; the longest took {longest[kind]} s")
    for call in failed:
        cluster.say(f"{call['kind'].lower()}: {call['error']}")
    return good and not failed and len(total) == 2


def scale(cluster):
    """Up by what waits at minilm, and down; up and down by what waits at smollm2, while it writes."""
    ours = adapter(cluster)
    try:
        cluster.say("--- helm upgrade: workers scale by what waits")
        cluster.upgrade(*SETTINGS)
        key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": f"{NAME}-first-key", "key": "key"}}}
        cluster.kubectl("delete", "pod", "load", "--ignore-not-found", quiet=True)
        cluster.apply(tools_pod("busy", ["python3", "/load/busy.py", f"{NAME}-gateway"], [key], cluster.tools_image()))
        cluster.kubectl("wait", "--for=condition=Ready", "pod/busy", "--timeout=60s", quiet=True)
        embeds = Watched(cluster, "minilm", "torchmesh_worker_queue_depth_requests")
        writes = Watched(cluster, "smollm2", "torchmesh_worker_waiting_sequences")
        for watched in (embeds, writes):
            # The upgrade has taken pods away too.
            watched.until(lambda measured, wanted, ready: measured != "unknown" and (wanted, ready) == (1, 1) and len(watched.gone) == len(watched.leaving))
            watched.leaving, watched.gone = {}, {}
        cluster.say(cluster.kubectl("get", "hpa"))
        up_and_down(cluster, embeds, "CALLS", 16, 0)
        up_and_down(cluster, writes, "STREAMS", 10, 3)
        callers(cluster, "STREAMS", 0)
        busy = [name for name, (_, running) in writes.leaving.items() if running]
        cluster.say(f"{len(writes.gone)} pods of smollm2 were taken away, {len(busy)} of them while they wrote")
        if not busy:
            cluster.say("error: none was taken away while it wrote, so nothing is shown; try again")
        return outcome(cluster, bool(busy))
    finally:
        if ours:
            cluster.run("kubectl", "delete", "apiservice", API, quiet=True)


def up_and_down(cluster, watched, kind, many, few):
    """Many callers, until there are all pods that there may be; then few, until one pod is left."""
    clock = time.monotonic()
    cluster.say(f"--- {watched.model}: many calls, then few")
    callers(cluster, kind, many)
    watched.until(lambda _, wanted, ready: (wanted, ready) == (MOST, MOST))
    cluster.say(f"all {MOST} pods are ready {time.monotonic() - clock:.1f} s after the calls began")
    clock = time.monotonic()
    callers(cluster, kind, few)
    watched.until(lambda _, wanted, ready: (wanted, ready) == (1, 1) and len(watched.gone) == len(watched.leaving) >= MOST - 1)
    cluster.say(f"one pod is left {time.monotonic() - clock:.1f} s later")

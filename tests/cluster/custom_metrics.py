"""Serves what pods have at /metrics as custom.metrics.k8s.io/v1beta2, for a HorizontalPodAutoscaler: `custom_metrics.py CERT KEY` (in a pod of the cluster).

A stand-in for prometheus-adapter where there is no Prometheus: a metric of a pod is the sum of its series at this moment.
"""

import datetime
import http.server
import json
import os
import re
import ssl
import sys
import urllib.parse
import urllib.request

GROUP = "custom.metrics.k8s.io/v1beta2"
METRICS = ("torchmesh_worker_queue_depth_requests", "torchmesh_worker_waiting_sequences")
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
ASKED = re.compile(rf"/apis/{GROUP}/namespaces/([^/]+)/pods/\*/([a-z_]+)")


def pods(namespace, selector):
    """The pods that run: (name, address, port of their metrics)."""
    host = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    query = urllib.parse.urlencode({"labelSelector": selector, "fieldSelector": "status.phase=Running"})
    with open(f"{ACCOUNT}/token", encoding="utf-8") as file:
        request = urllib.request.Request(f"{host}/api/v1/namespaces/{namespace}/pods?{query}", headers={"Authorization": f"Bearer {file.read()}"})
    with urllib.request.urlopen(request, timeout=5, context=ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")) as answer:
        listed = json.load(answer)["items"]
    for pod in listed:
        ports = [port["containerPort"] for container in pod["spec"]["containers"] for port in container.get("ports", []) if port.get("name") == "admin"]
        if ports and "podIP" in pod["status"]:
            yield pod["metadata"]["name"], pod["status"]["podIP"], ports[0]


def value(address, port, metric):
    """The sum of a metric's series; None where the pod does not answer or has none."""
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/metrics", timeout=3) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return None
    found = [float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{metric}[{{ ]", line)]
    return sum(found) if found else None


def listed(namespace, metric, selector):
    """A MetricValueList."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    items = []
    for name, address, port in pods(namespace, selector):
        seen = value(address, port, metric)
        if seen is not None:
            pod = {"kind": "Pod", "namespace": namespace, "name": name, "apiVersion": "/v1"}
            items.append({"describedObject": pod, "metric": {"name": metric}, "timestamp": now, "value": f"{round(seen * 1000)}m"})
    return {"kind": "MetricValueList", "apiVersion": GROUP, "metadata": {}, "items": items}


class Handler(http.server.BaseHTTPRequestHandler):
    """The two questions that are asked of it: which metrics there are, and what they are of some pods."""

    def do_GET(self):
        """Answers one."""
        url = urllib.parse.urlsplit(self.path)
        asked = ASKED.fullmatch(urllib.parse.unquote(url.path))
        if url.path == f"/apis/{GROUP}":
            resources = [{"name": f"pods/{metric}", "singularName": "", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]} for metric in METRICS]
            self.answer(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP, "resources": resources})
        elif asked and asked[2] in METRICS:
            selector = urllib.parse.parse_qs(url.query).get("labelSelector", [""])[0]
            self.answer(200, listed(asked[1], asked[2], selector))
        else:
            self.answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})

    def answer(self, status, body):
        """Sends JSON."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def main(cert, key):
    """Serves until it is killed."""
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 6443), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

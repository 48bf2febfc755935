"""The server that stands in for prometheus-adapter on the cluster of the tests: what it makes of the pods' own metrics."""

import http.server
import json
import os
import sys
import threading
import unittest
import unittest.mock
import urllib.error
import urllib.request

import support

sys.path.insert(0, os.path.join(support.ROOT, "tests", "cluster"))
import custom_metrics

PAGE = """# TYPE torchmesh_worker_queue_depth_requests gauge
torchmesh_worker_queue_depth_requests{model="a",version="1"} 3
torchmesh_worker_queue_depth_requests{model="b",version="1"} 0.5
torchmesh_worker_queue_depth_requests_of_others 100
"""
API = f"/apis/{custom_metrics.GROUP}"


class Quiet:
    """A server that writes no log."""

    def log_message(self, *_):
        """Nothing is said."""


class Pod(Quiet, http.server.BaseHTTPRequestHandler):
    """A pod with metrics."""

    def do_GET(self):
        """Its page."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE.encode())


class Adapter(Quiet, custom_metrics.Handler):
    """The server, without TLS."""


class CustomMetrics(unittest.TestCase):
    def setUp(self):
        self.pod, self.adapter = self.serve(Pod), self.serve(Adapter)

    def serve(self, handler):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1]

    def ask(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.adapter}{path}") as answer:
            return json.load(answer)

    def test_a_metric_of_a_pod_is_the_sum_of_its_series_and_a_pod_that_is_silent_has_none(self):
        found = [("one", "127.0.0.1", self.pod), ("silent", "127.0.0.1", 1)]
        with unittest.mock.patch.object(custom_metrics, "pods", return_value=found) as asked:
            listed = self.ask(f"{API}/namespaces/mesh/pods/%2A/torchmesh_worker_queue_depth_requests?labelSelector=a%3Db%2Cc%3Dd")
        asked.assert_called_once_with("mesh", "a=b,c=d")
        (item,) = listed["items"]
        self.assertEqual((listed["kind"], item["describedObject"]["name"], item["value"]), ("MetricValueList", "one", "3500m"))

    def test_the_metrics_that_scaling_goes_by_are_listed_and_others_are_not_found(self):
        names = {resource["name"] for resource in self.ask(API)["resources"]}
        self.assertEqual(names, {"pods/torchmesh_worker_queue_depth_requests", "pods/torchmesh_worker_waiting_sequences"})
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.ask(f"{API}/namespaces/mesh/pods/*/another")
        self.assertEqual(refused.exception.code, 404)
        refused.exception.close()


if __name__ == "__main__":
    unittest.main()

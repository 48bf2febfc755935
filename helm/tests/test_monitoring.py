"""Alerts and dashboards: of metrics that there are, tested by Prometheus' own tool, each alert with its runbook."""

import glob
import json
import os
import re
import unittest

import yaml

import support

ALERTS = os.path.join(support.CHART, "files", "alerts.yaml")
DASHBOARDS = sorted(glob.glob(os.path.join(support.CHART, "files", "dashboards", "*.json")))
METRIC = re.compile(r"torchmesh_[a-z_]+[a-z]|vllm:[a-z_]+")


def rules():
    """Every alert."""
    with open(ALERTS, encoding="utf-8") as file:
        return [rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]]


def registered():
    """The texts of all code that can register a metric."""
    paths = [path for folder in ("services", "shared") for path in glob.glob(os.path.join(support.ROOT, folder, "**", "*.rs"), recursive=True)]
    code = ""
    for path in paths:
        with open(path, encoding="utf-8") as file:
            code += file.read()
    return code


def is_registered(metric, code):
    """Whether code names the metric: whole, or without the prefix of its registry, and without the unit that the registry puts behind it."""
    stem = re.sub(r"_(total|bucket|sum|count)$", "", metric)
    prefixes = [r"", r"torchmesh_(gateway|router|accounts|worker)_", r"torchmesh_gateway_(limit|metering)_"]
    names = {re.sub(f"^{prefix}", "", stem) for prefix in prefixes}
    names |= {name.rsplit("_", 1)[0] for name in names if "_" in name and name != stem}
    return any(f'"{name}"' in code for name in names)


def as_asked(expression):
    """A question of a dashboard as Prometheus gets it: Grafana has put values in the place of variables."""
    return re.sub(r"\$\{?\w+(:\w+)?\}?", ".+", expression.replace("$__rate_interval", "5m").replace("$__range", "1h").replace("$__interval", "1m"))


class Monitoring(unittest.TestCase):
    def test_the_alerts_do_what_they_say(self):
        support.run(support.PROMTOOL, "check", "rules", ALERTS)
        support.run(support.PROMTOOL, "test", "rules", os.path.join(support.HERE, "alerts_test.yaml"))

    def test_prometheus_understands_what_the_dashboards_ask(self):
        asked = []
        for path in DASHBOARDS:
            with open(path, encoding="utf-8") as file:
                asked += [target["expr"] for panel in json.load(file)["panels"] for target in panel["targets"]]
        self.assertGreater(len(asked), 40)
        rules = [{"record": f"asked:{number}", "expr": as_asked(expression)} for number, expression in enumerate(asked)]
        support.run(support.PROMTOOL, "check", "rules", self.rules_file(rules))
        wrong = self.rules_file([{"record": "asked", "expr": as_asked("sum by (model (rate(a[$__rate_interval]))")}])
        self.assertIn("unexpected", support.run(support.PROMTOOL, "check", "rules", wrong, good=False))

    def rules_file(self, rules):
        path = support.temporary(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}), ".yaml")
        self.addCleanup(os.remove, path)
        return path

    def test_each_alert_is_tested(self):
        with open(os.path.join(support.HERE, "alerts_test.yaml"), encoding="utf-8") as file:
            tests = yaml.safe_load(file)["tests"]
        fired = {check["alertname"] for test in tests for check in test["alert_rule_test"] if check.get("exp_alerts")}
        self.assertEqual(fired, {rule["alert"] for rule in rules()})

    def test_each_alert_has_a_runbook(self):
        with open(os.path.join(support.ROOT, "docs", "deploy.md"), encoding="utf-8") as file:
            page = file.read()
        for rule in rules():
            self.assertIn(f"### {rule['alert']}\n", page)
            self.assertEqual(rule["annotations"]["runbook"], f"docs/deploy.md#{rule['alert'].lower()}")
            self.assertIn(rule["labels"]["severity"], ("warning", "critical"))

    def test_every_metric_exists(self):
        code = registered()
        asked = {metric for rule in rules() for metric in METRIC.findall(rule["expr"].replace("(gateway|router)", "router"))}
        for path in DASHBOARDS:
            with open(path, encoding="utf-8") as file:
                asked |= set(METRIC.findall(file.read().replace("torchmesh-", "")))
        self.assertGreater(len(asked), 40)
        self.assertEqual([metric for metric in sorted(asked) if not is_registered(metric, code)], [])

    def test_scaling_goes_by_metrics_that_exist_and_that_the_documented_adapter_serves(self):
        code, scaled = registered(), set()
        for values in support.MATRIX:
            for each in support.objects(values):
                if each["kind"] == "ScaledObject":
                    scaled |= set(METRIC.findall(each["spec"]["triggers"][0]["metadata"]["query"]))
                elif each["kind"] == "HorizontalPodAutoscaler":
                    scaled |= {metric["pods"]["metric"]["name"] for metric in each["spec"]["metrics"] if metric["type"] == "Pods"}
        self.assertEqual(scaled, {"torchmesh_worker_queue_depth_requests", "torchmesh_worker_waiting_sequences"})
        with open(os.path.join(support.ROOT, "docs", "deploy.md"), encoding="utf-8") as file:
            (rule,) = re.findall(r'seriesQuery: \'\{__name__=~"([^"]+)"', file.read())
        for metric in scaled:
            self.assertTrue(is_registered(metric, code), metric)
            self.assertTrue(re.fullmatch(rule, metric), metric)

    def test_a_metric_that_does_not_exist_is_found(self):
        self.assertFalse(is_registered("torchmesh_gateway_no_such_thing_total", registered()))

    def test_dashboards_can_be_read_and_differ(self):
        self.assertGreaterEqual(len(DASHBOARDS), 3)
        uids = set()
        for path in DASHBOARDS:
            with open(path, encoding="utf-8") as file:
                board = json.load(file)
            uids.add(board["uid"])
            ids = [panel["id"] for panel in board["panels"]]
            self.assertEqual(len(ids), len(set(ids)))
            for panel in board["panels"]:
                self.assertTrue(panel["title"] and panel["targets"], path)
                for target in panel["targets"]:
                    self.assertEqual(target["datasource"]["uid"], "${datasource}")
        self.assertEqual(len(uids), len(DASHBOARDS))

    def test_the_chart_carries_both(self):
        kinds = [each["kind"] for each in support.objects("production")]
        self.assertIn("PrometheusRule", kinds)
        boards = [each for each in support.objects("production") if "grafana_dashboard" in each["metadata"]["labels"]]
        self.assertEqual(len(boards), len(DASHBOARDS))
        for each in boards:
            for text in each["data"].values():
                json.loads(text)


if __name__ == "__main__":
    unittest.main()

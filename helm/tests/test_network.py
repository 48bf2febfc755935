"""Who reaches whom, as NetworkPolicies have it."""

import json
import unittest

import support


class Network(unittest.TestCase):
    def test_nothing_is_allowed_that_is_not_named(self):
        for values in support.MATRIX:
            deny = support.find(values, "NetworkPolicy", "mesh-torchmesh-deny")["spec"]
            self.assertEqual(sorted(deny["policyTypes"]), ["Egress", "Ingress"])
            self.assertNotIn("ingress", deny)
            self.assertNotIn("egress", deny)

    def test_only_routers_and_consul_reach_a_worker(self):
        self.assertEqual(self.callers("worker", 8082), {"router", "consul"})
        self.assertEqual(self.callers("accounts", 8083), {"gateway", "tools"})
        self.assertEqual(self.callers("router", 8081), {"gateway", "router", "consul", "tools"})

    def test_portal_and_pipelines_reach_what_they_are_clients_of(self):
        self.assertEqual(self.callers("pipelines", 8082, "production"), {"router", "consul"})
        self.assertEqual(self.callers("worker", 8082, "production"), {"router", "consul"})
        self.assertEqual(self.callers("accounts", 8083, "production"), {"gateway", "tools", "portal"})
        self.assertEqual(self.callers("router", 8081, "production"), {"gateway", "router", "consul", "tools", "portal", "pipelines"})
        self.assertEqual(self.callers("gateway", 8080, "external"), {"tools", "portal", None})
        self.assertEqual(self.callers("portal", 8084, "external"), {None})
        self.assertEqual(self.callers("portal", 8084, "production"), {"ingress"})
        self.assertEqual(self.outside("external", "portal"), {53, 4317, 8443})
        self.assertEqual(self.outside("external", "pipelines"), {53, 4317, 8501})

    def test_a_portal_of_ones_own_reaches_accounts_and_routers_when_it_is_named(self):
        portal = {"podSelector": {"matchLabels": {"app": "portal"}}}
        named = json.dumps([portal])
        text = support.text("defaults", "--set-json", f"networkPolicy.accountsFrom={named}", "--set-json", f"networkPolicy.routerFrom={named}")
        policies = {each["metadata"]["name"]: each["spec"]["ingress"] for each in support.parsed(text) if each["kind"] == "NetworkPolicy" and "ingress" in each["spec"]}
        for component, port in (("accounts", 8083), ("router", 8081)):
            self.assertIn({"from": [portal], "ports": [{"port": port}]}, policies[f"mesh-torchmesh-{component}"])
        self.assertNotIn(portal, [peer for rule in policies["mesh-torchmesh-worker"] for peer in rule["from"]])

    def test_what_is_outside_is_reached_by_the_ports_of_its_addresses(self):
        self.assertEqual(self.outside("external", "gateway"), {53, 443, 4317, 6380, 8501})
        self.assertEqual(self.outside("external", "accounts"), {53, 443, 587, 4317, 5432})
        self.assertEqual(self.outside("external", "router"), {53, 4317, 8501})
        self.assertEqual(self.outside("gpu", "accounts"), {53})

    def test_who_asks_the_api_of_kubernetes_reaches_it_and_nobody_else_does(self):
        for component in ("gateway", "router", "pipelines"):
            self.assertLessEqual({443, 6443}, self.outside("endpoint-slices", component))
        for component in ("worker", "accounts", "tools"):
            self.assertNotIn(6443, self.outside("endpoint-slices", component))

    @staticmethod
    def outside(values, component):
        rules = support.find(values, "NetworkPolicy", f"mesh-torchmesh-{component}")["spec"]["egress"]
        return {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}

    @staticmethod
    def callers(component, port, values="defaults"):
        """Who is let in: components, namespaces, or None for everybody."""
        rules = support.find(values, "NetworkPolicy", f"mesh-torchmesh-{component}")["spec"]["ingress"]
        peers = [peer for rule in rules if {"port": port} in rule["ports"] for peer in rule.get("from", [None])]
        labels = [(peer.get("podSelector") or peer["namespaceSelector"])["matchLabels"] if peer else {} for peer in peers]
        return {each.get("app.kubernetes.io/component") or each.get("kubernetes.io/metadata.name") for each in labels}


if __name__ == "__main__":
    unittest.main()

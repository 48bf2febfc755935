"""The plain manifests: the chart is their only source, and what the overlays make of them is valid."""

import os
import sys
import unittest

import kubernetes_validate

import support

HELM = os.path.join(support.TOOLS, "helm")


def built(overlay):
    """The objects of an overlay."""
    return support.parsed(support.overlay(overlay))


class Manifests(unittest.TestCase):
    def test_they_are_what_the_chart_says(self):
        support.run(sys.executable, os.path.join(support.ROOT, "helm", "render.py"), HELM, "--check")

    def test_overlays_are_valid_in_every_version_of_kubernetes(self):
        for overlay in support.OVERLAYS:
            for each in built(overlay):
                for version in support.KUBERNETES:
                    with self.subTest(overlay=overlay, kind=each["kind"], name=each["metadata"]["name"], version=version):
                        kubernetes_validate.validate(each, version, strict=True)

    def test_nothing_secret_is_in_them_but_the_keys_for_development(self):
        self.assertEqual([each for each in built("production") if each["kind"] == "Secret"], [])
        self.assertEqual({each["metadata"]["name"] for each in built("dev") if each["kind"] == "Secret"}, {"torchmesh-keys", "torchmesh-tokens"})

    def test_production_has_three_of_each_in_different_places_and_development_one(self):
        for overlay, count in (("dev", 1), ("production", 3)):
            for each in built(overlay):
                if each["kind"] == "Deployment":
                    self.assertEqual(each["spec"]["replicas"], count)
        (consul,) = [each for each in built("production") if each["kind"] == "StatefulSet" and each["metadata"]["name"] == "torchmesh-consul"]
        self.assertEqual(consul["spec"]["template"]["spec"]["topologySpreadConstraints"][0]["whenUnsatisfiable"], "DoNotSchedule")

    def test_development_is_not_held_up_by_budgets(self):
        kinds = [each["kind"] for each in built("dev")]
        self.assertNotIn("PodDisruptionBudget", kinds)
        self.assertIn("PodDisruptionBudget", [each["kind"] for each in built("production")])


if __name__ == "__main__":
    unittest.main()

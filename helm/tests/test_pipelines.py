"""What the chart makes of pipelines: files where their service looks, pods among the workers, and routes."""

import json
import unittest

import support


class Pipelines(unittest.TestCase):
    def test_are_found_among_the_workers(self):
        for values in ("endpoint-slices", "without-consul"):
            selector = support.find(values, "Service", "mesh-torchmesh-worker")["spec"]["selector"].items()
            chosen = set()
            for each in support.objects(values):
                if each["kind"] in ("Deployment", "StatefulSet") and selector <= each["spec"]["template"]["metadata"]["labels"].items():
                    chosen.add(each["metadata"]["labels"]["app.kubernetes.io/component"])
                    self.assertIn({"name": "grpc", "containerPort": 8082}, each["spec"]["template"]["spec"]["containers"][0]["ports"])
            self.assertEqual(chosen, {"worker", "pipelines"})
        env = {each["name"]: each.get("value") for each in support.pods("production")["mesh-torchmesh-pipelines"]["containers"][0]["env"]}
        self.assertEqual(env["TORCHMESH_PIPELINES_DISCOVERY__CONSUL__ADVERTISE"], "$(POD_IP)")

    def test_show_the_certificate_of_workers(self):
        (volume,) = [volume for volume in support.pods("without-consul")["mesh-torchmesh-pipelines"]["volumes"] if volume["name"] == "mesh-tls"]
        self.assertEqual(volume["secret"]["secretName"], "c")

    def test_have_routes_to_their_lowest_version_until_somebody_says_otherwise(self):
        hooks = support.find("production", "ConfigMap", "mesh-torchmesh-routes")["data"]["models.json"]
        self.assertEqual(json.loads(hooks), {"ranker": ["3", "4"], "ranked": ["2", "10"], "best": ["1"]})
        routes = support.find("endpoint-slices", "ConfigMap", "mesh-torchmesh-routes")["data"]["routes.toml"]
        self.assertIn('model = "letters"\nto = [{ "version" = "1" }]', routes)
        routes = support.find("without-consul", "ConfigMap", "mesh-torchmesh-routes")["data"]["routes.toml"]
        self.assertIn('model = "letters"\nto = [{ "version" = "1", "weight" = 90 }, { "version" = "2", "weight" = 10 }]', routes)

    def test_come_from_values_and_from_config_maps_that_are_there(self):
        (volume,) = [volume for volume in support.pods("production")["mesh-torchmesh-pipelines"]["volumes"] if volume["name"] == "pipelines"]
        maps = [source["configMap"] for source in volume["projected"]["sources"]]
        self.assertEqual(maps[0]["items"], [{"key": "ranked.10.toml", "path": "ranked/10.toml"}, {"key": "ranked.2.toml", "path": "ranked/2.toml"}])
        self.assertEqual(maps[1], {"name": "more-pipelines", "items": [{"key": "best", "path": "best/1.toml"}]})

    def test_a_changed_pipeline_restarts_nothing(self):
        pods = lambda *settings: support.parsed(support.text("endpoint-slices", "--show-only", "templates/pipelines/pipelines.yaml", *settings))
        before, after = pods(), pods("--set-string", "pipelines.files.letters/1\\.toml=changed")
        differing = [one["metadata"]["name"] for one, other in zip(before, after) if one != other]
        self.assertEqual(differing, ["mesh-torchmesh-pipelines-files"])


if __name__ == "__main__":
    unittest.main()

"""The services themselves read the settings that the chart writes."""

import os
import re
import tempfile
import unittest

import support

# What the pod's own fields give it.
ENVIRONMENT = [f"TORCHMESH_{service}_DISCOVERY__CONSUL__ADVERTISE=10.0.0.7" for service in ("GATEWAY", "ROUTER", "PIPELINES")]


class Settings(unittest.TestCase):
    def test_every_service_understands_what_the_chart_tells_it(self):
        seen = set()
        for values in support.MATRIX:
            for service, name, config, _ in support.settings(values):
                with self.subTest(values=values, name=name):
                    self.check(service, config)
                    seen.add(service)
        self.assertEqual(seen, {"gateway", "router", "accounts", "worker", "portal", "pipelines"})

    def test_pipelines_lie_where_their_service_looks_and_are_good(self):
        linted = 0
        for values in set(support.MATRIX) - {"external"}:
            files = [each for each in support.objects(values) if each["metadata"]["name"] == "mesh-torchmesh-pipelines-files"]
            for each in files:
                (volume,) = [volume for volume in support.pods(values)["mesh-torchmesh-pipelines"]["volumes"] if volume["name"] == "pipelines"]
                (source,) = [one["configMap"] for one in volume["projected"]["sources"] if one["configMap"]["name"] == each["metadata"]["name"]]
                self.assertEqual({item["key"] for item in source["items"]}, set(each["data"]))
                with tempfile.TemporaryDirectory() as folder:
                    for item in source["items"]:
                        path = os.path.join(folder, item["path"])
                        os.makedirs(os.path.dirname(path), exist_ok=True)
                        with open(path, "w", encoding="utf-8") as file:
                            file.write(each["data"][item["key"]])
                    support.run(os.path.join(support.PROGRAMS, "meshctl"), "pipeline", "lint", "--offline", folder)
                    linted += 1
        self.assertEqual(linted, 3)

    def test_a_setting_that_does_not_exist_is_found_here(self):
        with self.assertRaises(AssertionError) as found:
            self.check("router", 'addr = "0.0.0.0:8081"\nno_such_setting = 1\n')
        self.assertIn("no_such_setting", str(found.exception))

    def check(self, service, config):
        program = os.path.join(support.PROGRAMS, f"torchmesh-{service}")
        self.assertTrue(os.path.exists(program), f"{program} is missing: `make build` makes it")
        with tempfile.TemporaryDirectory() as pod:
            support.run("env", *(ENVIRONMENT if "consul" in config else []), program, "--config", self.as_in_a_pod(pod, config), "--check")

    @staticmethod
    def as_in_a_pod(pod, config):
        """The settings with the volumes of a pod in a folder of ours, and files where they name some."""
        for path in re.findall(r'"(/(?:etc|var|models|cache|pipelines|outbox)[^"]*)"', config):
            place = pod + path
            is_file = os.path.splitext(path)[1] or path.startswith("/etc/")
            os.makedirs(os.path.dirname(place) if is_file else place, exist_ok=True)
            if is_file:
                with open(place, "w", encoding="utf-8") as file:
                    # A token, a password or a key that is long enough.
                    file.write("a" * 64 if path.endswith(("token", "password", "webhook.keys")) else "")
        with open(os.path.join(pod, "config.toml"), "w", encoding="utf-8") as file:
            file.write(re.sub(r'"(/(?:etc|var|models|cache|pipelines|outbox)[^"]*)"', lambda match: f'"{pod}{match.group(1)}"', config))
        return file.name

    def test_files_that_settings_name_are_mounted(self):
        for values in support.MATRIX:
            pods = support.pods(values)
            for service, name, config, _ in support.settings(values):
                folders = [mount["mountPath"] for mount in pods[name]["containers"][0]["volumeMounts"]]
                for path in re.findall(r'"(/(?:etc|var|models|cache|pipelines|outbox)[^"]*)"', config):
                    self.assertTrue(any(path == folder or path.startswith(folder + "/") for folder in folders), f"{values} {name}: {path}")


if __name__ == "__main__":
    unittest.main()

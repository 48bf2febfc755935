"""Routes in the objects of Kubernetes: what routers may do there, and nobody else."""

import os
import tempfile
import tomllib
import unittest

import support

OBJECTS = support.parsed(support.text("endpoint-slices", "--set", "routes.store=kubernetes"))


def named(kind, name):
    """The one object of this kind and name."""
    (found,) = [each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


class Store(unittest.TestCase):
    def test_routers_alone_may_write_config_maps_and_leases_and_nobody_may_remove_any(self):
        roles = {each["metadata"]["name"]: each["rules"] for each in OBJECTS if each["kind"] == "Role"}
        self.assertEqual(set(roles), {"mesh-torchmesh-discovery", "mesh-torchmesh-store"})
        self.assertEqual(
            roles["mesh-torchmesh-store"],
            [
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch", "create", "update"]},
                {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
            ],
        )
        bound = named("RoleBinding", "mesh-torchmesh-store")
        self.assertEqual(bound["roleRef"]["name"], "mesh-torchmesh-store")
        self.assertEqual(bound["subjects"], [{"kind": "ServiceAccount", "name": "mesh-torchmesh-router", "namespace": "torchmesh"}])
        pod = named("Deployment", "mesh-torchmesh-router")["spec"]["template"]["spec"]
        self.assertEqual((pod["serviceAccountName"], pod["automountServiceAccountToken"]), ("mesh-torchmesh-router", True))

    def test_who_keeps_routes_elsewhere_has_no_such_role(self):
        for values in support.MATRIX:
            self.assertFalse([each for each in support.objects(values) if each["kind"] in ("Role", "RoleBinding") and each["metadata"]["name"].endswith("-store")])

    def test_routers_are_told_and_understand(self):
        text = named("ConfigMap", "mesh-torchmesh-router")["data"]["config.toml"]
        settings = tomllib.loads(text)
        self.assertEqual(settings["store"], {"kubernetes": True})
        self.assertEqual(settings["discovery"], {"kubernetes": {"prefix": "mesh-torchmesh"}})
        self.assertNotIn("routes_file", settings)
        program = os.path.join(support.PROGRAMS, "torchmesh-router")
        self.assertTrue(os.path.exists(program), f"{program} is missing: `make build` makes it")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "config.toml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            support.run(program, "--config", path, "--check")

    def test_models_get_their_routes_by_jobs_as_in_consul(self):
        jobs = {each["metadata"]["name"] for each in OBJECTS if each["kind"] == "Job"}
        self.assertLessEqual({"mesh-torchmesh-routes-keep", "mesh-torchmesh-routes-lead-back"}, jobs)
        pod = named("Deployment", "mesh-torchmesh-router")["spec"]["template"]["spec"]
        self.assertNotIn("routes", [volume["name"] for volume in pod["volumes"]])

    def test_what_routers_keep_has_no_name_of_the_charts(self):
        # Theirs begin with the prefix and a dot.
        self.assertFalse([each for each in OBJECTS if each["metadata"]["name"].startswith("mesh-torchmesh.")])

    def test_people_are_told_how_routes_are_changed(self):
        said = support.notes("endpoint-slices", "routes.store=kubernetes")
        self.assertIn("meshctl rollout start", said)
        self.assertNotIn("meshctl rollout start", support.notes("endpoint-slices"))


if __name__ == "__main__":
    unittest.main()

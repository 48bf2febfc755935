"""What the chart makes of values, over the rows of the matrix."""

import json
import unittest

import kubernetes_validate

import support

# Kinds that belong to others, whose schemas are not Kubernetes' own.
FOREIGN = {
    "cert-manager.io/v1": {"Certificate"},
    "monitoring.coreos.com/v1": {"PodMonitor", "ServiceMonitor", "PrometheusRule"},
    "keda.sh/v1alpha1": {"ScaledObject"},
    "gateway.networking.k8s.io/v1": {"HTTPRoute", "GRPCRoute"},
}
# A pipeline in a ConfigMap that is there already.
ANOTHER = ["pipelines.configMaps[0].name=m", "pipelines.configMaps[0].items[0].key=k", "pipelines.configMaps[0].items[0].path=a/1.toml"]


class TheChart(unittest.TestCase):
    def test_helm_has_nothing_to_say_against_it(self):
        for path in support.MATRIX.values():
            support.helm("lint", "--strict", support.CHART, "--values", path)

    def test_everything_is_valid_in_every_version_of_kubernetes(self):
        for values in support.MATRIX:
            for each in support.objects(values):
                foreign = FOREIGN.get(each["apiVersion"], set())
                for version in support.KUBERNETES:
                    with self.subTest(values=values, kind=each["kind"], name=each["metadata"]["name"], version=version):
                        if each["kind"] not in foreign:
                            kubernetes_validate.validate(each, version, strict=True)

    def test_two_objects_never_have_one_name(self):
        for values in support.MATRIX:
            names = [(each["kind"], each["metadata"]["name"]) for each in support.objects(values)]
            self.assertEqual(len(names), len(set(names)), values)

    def test_every_object_is_in_the_namespace_of_the_release(self):
        for values in support.MATRIX:
            for each in support.objects(values):
                if each["kind"] != "PriorityClass":
                    self.assertEqual(each["metadata"].get("namespace"), "torchmesh", each["metadata"]["name"])

    def test_a_word_that_is_misspelt_is_refused(self):
        for setting in ("gatway.replicas=2", "gateway.replica=2", "models[0].verions={1}", "workers.drain=2", "consul.replicas=2", "models[0].versions={a}", "portal.operator={a@b}", "portal.operators={ada}", "portal.publicAddress=portal.example.org",
                        "accounts.mailer.args={a}", "pipelines.files.judge=x", "pipelines.files.judge/0\\.toml=x", "pipelines.configMaps[0].name=a"):
            self.assertIn("schema", support.refused(setting), setting)

    def test_settings_that_exclude_each_other_are_refused_with_what_to_do(self):
        cases = {
            "routes.store=file": ["discovery.kind=dns"],
            "set discovery.kind=kubernetes": ["discovery.kind=dns", "routes.store=kubernetes"],
            "leave it true": ["discovery.kind=kubernetes", "routes.store=file", "serviceAccounts.create=false"],
            "consul.address": ["consul.bundled=false"],
            "accounts.database.url": ["accounts.replicas=2"],
            "existingSecret": ["gateway.keys.create=false", "accounts.enabled=false"],
            "enable tls.certManager": ["tls.gateway.enabled=true"],
            "tls.mesh.toolsSecret": ["tls.mesh.enabled=true", *[f"tls.mesh.{component}Secret=a" for component in ("gateway", "router", "worker")]],
            "tls.mesh.portalSecret": ["tls.mesh.enabled=true", "portal.enabled=true", "portal.operators={a@example.org}", *[f"tls.mesh.{component}Secret=a" for component in ("gateway", "router", "worker", "tools")]],
            "tls.mesh.gatewaySecret": ["tls.mesh.enabled=true"],
            "tls.accounts.secretName": ["tls.accounts.enabled=true"],
            "gateway.metering.enabled=false": ["accounts.enabled=false"],
            "issuerRef": ["tls.certManager.enabled=true"],
            "one of source.url": ["models[1].name=a", "models[1].versions={1}"],
            "gateway.limits": ["gateway.redis.url=redis://redis:6379"],
            "set 1 or more": ["models[0].autoscaling.enabled=true", "models[0].autoscaling.minReplicas=0"],
            "2 sources": ["models[0].source.init.image=a"],
            "twice": ["models[0].versions={1,1}"],
            "consul.persistence.enabled": ["consul.replicas=3", "consul.persistence.enabled=false"],
            "leave accounts.enabled true": ["portal.enabled=true", "accounts.enabled=false", "gateway.metering.enabled=false"],
            "portal.gateway.address": ["portal.enabled=true", "tls.gateway.enabled=true", "tls.gateway.secretName=a"],
            "portal.publicAddress": ["portal.enabled=true", "portal.signUp=true"],
            "portal.ingress.hosts": ["portal.enabled=true", "portal.ingress.enabled=true"],
            "tls.portal.secretName": ["portal.enabled=true", "tls.portal.enabled=true"],
            "one of them delivers": ["accounts.smtp.address=smtp:587", "accounts.mailer.image=mailer"],
            "accounts.outbox.volume": ["accounts.replicas=2", "accounts.database.url=postgres://a@db/a", "accounts.smtp.address=smtp:587"],
            "a claim that is ReadWriteMany": ["accounts.replicas=2", "accounts.database.url=postgres://a@db/a", "accounts.mailer.image=mailer", "accounts.outbox.volume.emptyDir.sizeLimit=1Gi"],
            "accounts.smtp.address": ["accounts.smtp.caSecret=a"],
            "username and passwordSecret": ["accounts.smtp.address=smtp:587", "accounts.smtp.username=mesh"],
            "there is no pipeline;": ["pipelines.enabled=true"],
            "a version twice": ["pipelines.enabled=true", "pipelines.files.a/1\\.toml=x", *ANOTHER],
            "the name of a model": ["pipelines.enabled=true", "pipelines.files.minilm/1\\.toml=x"],
            "there is no pipeline b": ["pipelines.enabled=true", *ANOTHER, "pipelines.routes.b.sticky=tenant"],
            "changed by meshctl": ["pipelines.enabled=true", *ANOTHER, "pipelines.routes.a.sticky=tenant"],
        }
        for remedy, settings in cases.items():
            self.assertIn(remedy, support.refused(*settings))


class Pods(unittest.TestCase):
    def every(self):
        for values in support.MATRIX:
            for name, pod in support.pods(values).items():
                with self.subTest(values=values, name=name):
                    yield pod

    def test_keep_to_the_restricted_standard(self):
        for pod in self.every():
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in pod["containers"] + pod.get("initContainers", []):
                security = container["securityContext"]
                self.assertFalse(security["allowPrivilegeEscalation"])
                self.assertTrue(security["readOnlyRootFilesystem"])
                self.assertEqual(security["capabilities"], {"drop": ["ALL"]})
            allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "ephemeral", "projected", "name"}
            for volume in pod.get("volumes", []):
                self.assertLessEqual(set(volume), allowed)

    def test_have_no_way_to_the_api_of_kubernetes_and_an_account_of_their_own(self):
        for values in set(support.MATRIX) - {"endpoint-slices"}:
            for pod in support.pods(values).values():
                self.assertFalse(pod["automountServiceAccountToken"])
        for pod in self.every():
            self.assertTrue(pod["serviceAccountName"].startswith("mesh-torchmesh-"))
        for values in set(support.MATRIX) - {"endpoint-slices"}:
            kinds = {each["kind"] for each in support.objects(values)}
            self.assertFalse(kinds & {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"})

    def test_that_find_others_by_the_api_may_watch_endpoint_slices_and_nothing_else(self):
        objects = support.objects("endpoint-slices")
        rules = [each["rules"] for each in objects if each["kind"] == "Role"]
        self.assertEqual(rules, [[{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]}]])
        bound = [subject["name"] for each in objects if each["kind"] == "RoleBinding" for subject in each["subjects"]]
        self.assertEqual(bound, ["mesh-torchmesh-gateway", "mesh-torchmesh-router", "mesh-torchmesh-pipelines"])
        mounted = set()
        for each in objects:
            if each["kind"] in ("Deployment", "StatefulSet"):
                spec = each["spec"]["template"]["spec"]
                if spec["automountServiceAccountToken"]:
                    mounted.add(spec["serviceAccountName"])
        self.assertEqual(mounted, set(bound))
        services = {each["metadata"]["name"] for each in objects if each["kind"] == "Service"}
        self.assertLessEqual({"mesh-torchmesh-router", "mesh-torchmesh-worker"}, services)

    def test_are_not_told_of_services_in_variables_that_look_like_settings(self):
        for pod in self.every():
            self.assertFalse(pod["enableServiceLinks"])

    def test_ask_for_memory_and_have_a_limit_of_it(self):
        for pod in self.every():
            for container in pod["containers"] + pod.get("initContainers", []):
                self.assertIn("memory", container["resources"]["requests"])
                self.assertIn("memory", container["resources"]["limits"])

    def test_that_serve_are_started_ready_and_alive(self):
        for values in support.MATRIX:
            for each in support.objects(values):
                if each["kind"] in ("Deployment", "StatefulSet"):
                    for container in each["spec"]["template"]["spec"]["containers"]:
                        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                            self.assertIn(probe, container, each["metadata"]["name"])

    def test_are_never_restarted_for_not_being_ready(self):
        for pod in self.every():
            for container in pod["containers"]:
                probe = container.get("livenessProbe", {})
                self.assertNotIn("grpc", probe)
                self.assertNotEqual(probe.get("httpGet", {}).get("path"), "/ready")

    def test_of_services_that_speak_tls_are_asked_at_the_admin_port(self):
        for name in ("mesh-torchmesh-router", "mesh-torchmesh-sentiment-v3"):
            self.assertEqual(self.ready("without-consul", name), {"path": "/ready", "port": "admin"})
        for name in ("accounts", "router", "pipelines", "minilm-v1"):
            self.assertEqual(self.ready("encrypted", f"mesh-torchmesh-{name}"), {"path": "/ready", "port": "admin"})
        self.assertEqual(self.ready("external", "mesh-torchmesh-gateway"), {"path": "/ready", "port": "admin"})
        self.assertIsNone(self.ready("defaults", "mesh-torchmesh-gateway"))

    @staticmethod
    def ready(values, name):
        return support.pods(values)[name]["containers"][0]["readinessProbe"].get("httpGet")


    def test_have_the_volumes_that_the_values_add(self):
        for name, volume, path in (("gateway", "batches", "/var/lib/batches"), ("accounts", "sealing", "/etc/torchmesh/sealing"), ("ranker-v1", "authority", "/etc/ssl/private-authority")):
            pod = support.pods("external")[f"mesh-torchmesh-{name}"]
            self.assertIn(volume, [each["name"] for each in pod["volumes"]])
            self.assertIn((volume, path), [(mount["name"], mount["mountPath"]) for mount in pod["containers"][0]["volumeMounts"]])
        own = ["extraVolumes[0].name=own", "extraVolumes[0].secret.secretName=a", "extraVolumeMounts[0].name=own", "extraVolumeMounts[0].mountPath=/own"]
        settings = [argument for service in ("router", "portal", "pipelines", "workers") for setting in own for argument in ("--set", f"{service}.{setting}")]
        made = [each for each in support.parsed(support.text("production", *settings)) if each["kind"] in ("Deployment", "StatefulSet")]
        names = {each["metadata"]["name"] for each in made if "own" in [volume["name"] for volume in each["spec"]["template"]["spec"]["volumes"]]}
        self.assertEqual(names, {f"mesh-torchmesh-{name}" for name in ("router", "portal", "pipelines", "ranker-v3", "ranker-v4")})


class Ends(unittest.TestCase):
    def test_the_grace_is_what_the_settings_of_the_service_ask_for(self):
        # drain.delay + drain.grace + preStopSeconds + 5
        self.assertEqual(self.grace("defaults", "mesh-torchmesh-gateway"), 5 + 30 + 0 + 5)
        self.assertEqual(self.grace("production", "mesh-torchmesh-gateway"), 5 + 30 + 5 + 5)
        self.assertEqual(self.grace("defaults", "mesh-torchmesh-router"), 0 + 30 + 5)
        self.assertEqual(self.grace("defaults", "mesh-torchmesh-minilm-v1"), 3 + 60 + 5)

    def test_a_longer_drain_has_a_longer_grace(self):
        text = support.text("defaults", "--set", "router.settings.drain.grace=1h30m", "--set", "router.settings.drain.delay=1500ms")
        (router,) = [each for each in support.parsed(text) if each["kind"] == "Deployment" and each["metadata"]["name"].endswith("-router")]
        self.assertEqual(router["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 2 + 5400 + 5)

    def test_a_pause_before_sigterm_is_there_when_it_is_asked_for(self):
        pods = support.pods("production")
        self.assertEqual(pods["mesh-torchmesh-gateway"]["containers"][0]["lifecycle"], {"preStop": {"sleep": {"seconds": 5}}})
        self.assertNotIn("lifecycle", pods["mesh-torchmesh-router"]["containers"][0])

    def test_no_pod_ends_before_its_successor_is_ready(self):
        for values in support.MATRIX:
            for each in support.objects(values):
                if each["kind"] == "Deployment" and each["metadata"]["labels"].get("torchmesh/model") != "Llama_3.1-8B":
                    self.assertEqual(each["spec"]["strategy"]["rollingUpdate"], {"maxUnavailable": 0, "maxSurge": 1})

    def test_of_more_pods_than_one_not_all_are_taken_at_once(self):
        budgets = {each["metadata"]["name"] for each in support.objects("production") if each["kind"] == "PodDisruptionBudget"}
        self.assertLessEqual({f"mesh-torchmesh-{name}" for name in ("gateway", "router", "consul", "ranker-v3")}, budgets)
        # An autoscaler that begins at two.
        self.assertIn("mesh-torchmesh-ranker-v4", budgets)

    @staticmethod
    def grace(values, name):
        return support.pods(values)[name]["terminationGracePeriodSeconds"]


class Models(unittest.TestCase):
    def test_each_version_has_workers_of_its_own(self):
        names = [each["metadata"]["name"] for each in support.objects("production") if each["kind"] == "Deployment" and "torchmesh/model" in each["metadata"]["labels"]]
        self.assertEqual(sorted(names), ["mesh-torchmesh-ranker-v3", "mesh-torchmesh-ranker-v4"])

    def test_a_version_may_say_otherwise_than_its_model(self):
        limit = lambda name: support.pods("production")[name]["containers"][0]["resources"]["limits"]["memory"]
        self.assertEqual((limit("mesh-torchmesh-ranker-v3"), limit("mesh-torchmesh-ranker-v4")), ("4Gi", "8Gi"))

    def test_a_gpu_brings_its_image_its_nodes_and_its_place(self):
        (pod,) = [pod for name, pod in support.pods("gpu").items() if "llama" in name]
        (container,) = pod["containers"]
        self.assertTrue(container["image"].startswith("torchmesh-worker-cuda:"))
        self.assertEqual(container["resources"]["limits"]["nvidia.com/gpu"], "1")
        self.assertEqual(pod["nodeSelector"], {"nvidia.com/gpu.present": "true"})
        self.assertIn({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, pod["tolerations"])
        self.assertEqual(pod["runtimeClassName"], "nvidia")

    def test_a_version_is_fetched_or_mounted_where_the_worker_looks_for_it(self):
        mounts = {mount["mountPath"]: mount for mount in support.pods("production")["mesh-torchmesh-ranker-v4"]["containers"][0]["volumeMounts"]}
        self.assertEqual(mounts["/models/ranker/4"]["subPath"], "ranker/4")
        self.assertIn("/models/ranker/model.toml", mounts)
        (fetch,) = support.pods("without-consul")["mesh-torchmesh-sentiment-v4"]["initContainers"]
        self.assertIn({"name": "version", "mountPath": "/model"}, fetch["volumeMounts"])

    def test_where_routes_are_in_a_file_every_model_has_one(self):
        routes = support.find("without-consul", "ConfigMap", "mesh-torchmesh-routes")["data"]["routes.toml"]
        self.assertEqual(routes.count("[[route]]"), 3)
        self.assertIn('sticky = "tenant"', routes)
        self.assertIn('model = "small"\nto = [{ "version" = "1" }]', routes)

    def test_scaling_goes_by_what_waits(self):
        scaler = support.find("production", "HorizontalPodAutoscaler", "mesh-torchmesh-ranker-v3")
        self.assertEqual(scaler["spec"]["metrics"][0]["pods"]["metric"], {"name": "torchmesh_worker_queue_depth_requests"})
        (keda,) = [each for each in support.objects("gpu") if each["kind"] == "ScaledObject"]
        trigger, _ = keda["spec"]["triggers"]
        self.assertEqual(trigger["metadata"]["query"], 'sum(torchmesh_worker_waiting_sequences{namespace="torchmesh", model="Llama_3.1-8B", version="1"})')
        self.assertEqual((trigger["metadata"]["threshold"], trigger["metadata"]["ignoreNullValues"]), ("2", "false"))


    def test_a_model_with_no_pod_is_brought_up_by_the_calls_that_routers_hold_for_it(self):
        least = ("--set", "models[0].autoscaling.enabled=true", "--set", "models[0].autoscaling.kind=keda", "--set", "models[0].autoscaling.minReplicas=0")
        rendered = support.parsed(support.text("production", *least))
        scaled = next(each for each in rendered if each["kind"] == "ScaledObject")
        name, version = scaled["metadata"]["labels"], scaled["spec"]["scaleTargetRef"]["name"].rpartition("-v")[2]
        waiting, held = (trigger["metadata"] for trigger in scaled["spec"]["triggers"])
        self.assertEqual((scaled["spec"]["minReplicaCount"], waiting["ignoreNullValues"]), (0, "true"), name)
        self.assertIn(f'version=~"|{version}"', held["query"])
        model = held["query"].split('model="')[1].split('"')[0]
        settings = [each["data"] for each in rendered if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "mesh-torchmesh-router"]
        self.assertIn(f'hold = {{ "models" = ["{model}"] }}', settings[0]["config.toml"])

    def test_scaling_goes_by_how_busy_gpus_are_besides_where_there_are_some(self):
        (keda,) = [each for each in support.objects("gpu") if each["kind"] == "ScaledObject"]
        gpu = keda["spec"]["triggers"][1]["metadata"]
        pods = "mesh-torchmesh-llama-3-1-8b-f0662-v1-[a-z0-9]+(-[a-z0-9]+)?"
        self.assertEqual((gpu["query"], gpu["threshold"]), (f'sum(avg by (pod) (DCGM_FI_DEV_GPU_UTIL{{namespace="torchmesh", pod=~"{pods}"}}))', "75"))
        self.assertRegex("mesh-torchmesh-llama-3-1-8b-f0662-v1-6b8d9c7f5-x2x7k", f"^{pods}$")
        busy = ("--set", "workers.autoscaling.gpu.metric=DCGM_FI_DEV_GPU_UTIL", "--show-only", "templates/workers/scaling.yaml")
        for device, metrics in (("cuda", {"torchmesh_worker_queue_depth_requests": "8", "DCGM_FI_DEV_GPU_UTIL": "80"}), ("cpu", {"torchmesh_worker_queue_depth_requests": "8"})):
            for scaler in support.parsed(support.text("production", "--set", f"models[0].device={device}", *busy)):
                asked = {each["pods"]["metric"]["name"]: each["pods"]["target"]["averageValue"] for each in scaler["spec"]["metrics"]}
                self.assertEqual(asked, metrics)


class Secrets(unittest.TestCase):
    def test_the_first_key_is_the_one_whose_hash_the_gateways_know(self):
        import hashlib

        key = support.find("defaults", "Secret", "mesh-torchmesh-first-key")["stringData"]["key"]
        keys = support.find("defaults", "Secret", "mesh-torchmesh-keys")["stringData"]["keys.toml"]
        self.assertIn(hashlib.sha256(key.encode()).hexdigest(), keys)

    def test_nothing_secret_is_in_settings_or_arguments(self):
        for values in support.MATRIX:
            secret = [value for each in support.objects(values) if each["kind"] == "Secret" for name, value in each["stringData"].items() if name != "keys.toml"]
            rest = json.dumps([each for each in support.objects(values) if each["kind"] != "Secret"])
            for value in secret:
                self.assertNotIn(value, rest)


if __name__ == "__main__":
    unittest.main()

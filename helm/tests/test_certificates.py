"""Who speaks TLS with whom, with which certificate, and whether the names fit."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import unittest

import support

FOLDER = "/etc/torchmesh/mesh-tls"


class Certificates(unittest.TestCase):
    def test_nobody_speaks_clear_text_where_tls_is_everywhere(self):
        for service, name, config, _ in support.settings("encrypted"):
            with self.subTest(name=name):
                self.assertIn("tls", tomllib.loads(config), service)
                self.assertEqual([address for address in re.findall(r'"(http://[^"]*)"', config) if "consul" not in address], [])
        for pod in support.pods("encrypted").values():
            for each in pod["containers"][0].get("env", []):
                self.assertFalse(each.get("value", "").startswith("http://"), each)
        for each in support.objects("encrypted"):
            for port in each["spec"].get("ports", []) if each["kind"] == "Service" else []:
                self.assertNotEqual(port.get("appProtocol"), "kubernetes.io/h2c", each["metadata"]["name"])

    def test_the_name_that_each_asks_for_is_in_the_certificate_that_it_meets(self):
        gateway, router, portal, pipelines = (self.config(name) for name in ("gateway", "router", "portal", "pipelines"))
        names = self.names("router")
        for asking in (gateway["mesh_tls"], pipelines["mesh_tls"], portal["router_tls"], {"name": self.env("mesh-torchmesh-routes-keep")["TORCHMESH_SERVER_NAME"]}):
            self.assertIn(asking["name"], names)
        # A router asks workers, and other routers.
        for component in ("router", "worker"):
            self.assertIn(router["mesh_tls"]["name"], self.names(component))
        self.assertNotIn(router["mesh_tls"]["name"], self.names("gateway"))
        accounts = support.find("encrypted", "Certificate", "mesh-torchmesh-accounts-tls")["spec"]["dnsNames"]
        self.assertIn("accounts.example.org", accounts)
        for address in (gateway["accounts"]["address"], gateway["metering"]["accounts"], portal["accounts"]["address"]):
            self.assertIn(re.fullmatch(r"https://([^:]+):8083", address)[1], accounts)

    def test_who_asks_the_accounts_sees_of_their_secret_the_authority_alone(self):
        for name in ("gateway", "portal"):
            self.assertEqual(self.config(name)["accounts_tls"], {"ca": "/etc/torchmesh/accounts-ca/ca.crt"})
            secret = self.secret(f"mesh-torchmesh-{name}", "accounts-ca")
            self.assertEqual((secret["secretName"], secret["items"]), ("mesh-torchmesh-accounts-tls", [{"key": "ca.crt", "path": "ca.crt"}]))
        self.assertEqual(self.secret("mesh-torchmesh-accounts", "tls")["secretName"], "mesh-torchmesh-accounts-tls")

    def test_each_has_a_certificate_of_its_own(self):
        own = {"gateway": "gateway", "router": "router", "minilm-v1": "worker", "pipelines": "worker", "portal": "portal", "routes-keep": "tools", "routes-lead-back": "tools"}
        for name, component in own.items():
            self.assertEqual(self.secret(f"mesh-torchmesh-{name}", "mesh-tls")["secretName"], f"mesh-torchmesh-{component}-mesh-tls")
            self.assertIn("client auth", support.find("encrypted", "Certificate", f"mesh-torchmesh-{component}-mesh-tls")["spec"]["usages"])
        self.assertNotIn("mesh-tls", [volume["name"] for volume in support.pods("encrypted")["mesh-torchmesh-accounts"]["volumes"]])

    def test_the_jobs_that_keep_routes_show_theirs_to_routers(self):
        for job in ("keep", "lead-back"):
            env = self.env(f"mesh-torchmesh-routes-{job}")
            self.assertEqual(env["TORCHMESH_ROUTER_ADDR"], "https://mesh-torchmesh-router:8081")
            files = {"TORCHMESH_CA_FILE": "ca.crt", "TORCHMESH_CERT_FILE": "tls.crt", "TORCHMESH_CERT_KEY_FILE": "tls.key"}
            self.assertEqual({name: env[name] for name in files}, {name: f"{FOLDER}/{file}" for name, file in files.items()})
            container = support.pods("encrypted")[f"mesh-torchmesh-routes-{job}"]["containers"][0]
            self.assertIn({"name": "mesh-tls", "mountPath": FOLDER, "readOnly": True}, container["volumeMounts"])
        self.assertEqual(self.env("mesh-torchmesh-routes-keep", "defaults")["TORCHMESH_ROUTER_ADDR"], "http://mesh-torchmesh-router:8081")

    def test_helm_test_calls_a_gateway_that_speaks_tls_by_a_name_of_its_certificate(self):
        env = self.env("mesh-torchmesh-test")
        self.assertEqual(env["TORCHMESH_GATEWAY_ADDR"], "https://mesh-torchmesh-gateway:80")
        self.assertNotIn("TORCHMESH_SERVER_NAME", env)
        self.assertIn("mesh-torchmesh-gateway", support.find("encrypted", "Certificate", "mesh-torchmesh-gateway-tls")["spec"]["dnsNames"])
        self.assertEqual(self.env("mesh-torchmesh-test", "external")["TORCHMESH_SERVER_NAME"], "api.example.org")
        ca = self.secret("mesh-torchmesh-test", "ca")
        self.assertEqual((ca["secretName"], ca["optional"], ca["items"]), ("mesh-torchmesh-gateway-tls", True, [{"key": "ca.crt", "path": "ca.crt"}]))

    def test_a_certificate_of_ones_own_takes_the_place_of_one_that_would_be_made(self):
        text = support.text("encrypted", "--set", "tls.mesh.toolsSecret=ours", "--set", "tls.accounts.secretName=theirs")
        made = {each["metadata"]["name"] for each in support.parsed(text) if each["kind"] == "Certificate"}
        before = {each["metadata"]["name"] for each in support.objects("encrypted") if each["kind"] == "Certificate"}
        self.assertEqual(before - made, {"mesh-torchmesh-tools-mesh-tls", "mesh-torchmesh-accounts-tls"})
        self.assertIn("secretName: ours", text)
        self.assertIn("secretName: theirs", text)

    def test_operators_are_told_how_to_reach_routers(self):
        notes = support.notes("encrypted")
        self.assertIn("get secret mesh-torchmesh-tools-mesh-tls", notes)
        self.assertIn('-o go-template="{{index .data \\"$file\\" | base64decode}}" > $file', notes)
        self.assertIn("TORCHMESH_SERVER_NAME=router.mesh-torchmesh.mesh", notes)
        self.assertIn("meshctl route get --router https://127.0.0.1:8081", notes)

    @staticmethod
    def config(component):
        return tomllib.loads(support.find("encrypted", "ConfigMap", f"mesh-torchmesh-{component}")["data"]["config.toml"])

    @staticmethod
    def names(component):
        return support.find("encrypted", "Certificate", f"mesh-torchmesh-{component}-mesh-tls")["spec"]["dnsNames"]

    @staticmethod
    def env(pod, values="encrypted"):
        return {each["name"]: each.get("value") for each in support.pods(values)[pod]["containers"][0]["env"]}

    @staticmethod
    def secret(pod, name):
        (volume,) = [volume for volume in support.pods("encrypted")[pod]["volumes"] if volume["name"] == name]
        return volume["secret"]


class Spoken(unittest.TestCase):
    """The programs themselves, with the chart's TLS, and certificates that have the names which cert-manager is asked for."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.openssl("-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def openssl(self, *arguments):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", *arguments]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def certificate(self, secret):
        """A folder as the Secret of a Certificate is mounted."""
        names = ",".join(f"DNS:{name}" for name in support.find("encrypted", "Certificate", secret)["spec"]["dnsNames"])
        os.mkdir(os.path.join(self.folder, secret))
        self.openssl(
            "-subj", "/CN=mesh", "-addext", f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:false", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-keyout", f"{secret}/tls.key", "-out", f"{secret}/tls.crt",
        )  # fmt: skip
        os.symlink("../ca.crt", os.path.join(self.folder, secret, "ca.crt"))
        return os.path.join(self.folder, secret)

    def start(self, component, mounted, secret, own):
        """A service with settings of our own, and the chart's of TLS."""
        config = support.find("encrypted", "ConfigMap", f"mesh-torchmesh-{component}")["data"]["config.toml"]
        tls = "\n".join(line for line in config.splitlines() if re.match("(mesh_)?tls =", line)).replace(mounted, self.certificate(secret))
        path = self.file(f"{component}.toml", f'addr = "127.0.0.1:{self.port}"\nadmin_addr = "127.0.0.1:0"\n{own}\n{tls}\n')
        service = subprocess.Popen([os.path.join(support.PROGRAMS, f"torchmesh-{component}"), "--config", path], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(service.wait)
        self.addCleanup(service.kill)

    def keep(self, tools, good=True, without=()):
        """The job of an install; answers what it says."""
        env = {name: value.replace(FOLDER, tools) for name, value in Certificates.env("mesh-torchmesh-routes-keep").items() if name not in without}
        env |= {"TORCHMESH_ROUTER_ADDR": f"https://127.0.0.1:{self.port}", "MESHCTL": os.path.join(support.PROGRAMS, "meshctl"), "PATIENCE_SECONDS": "60" if good else "1"}
        models = self.file("models.json", json.dumps({"minilm": ["1", "2"]}))
        return support.run("env", *[f"{name}={value}" for name, value in env.items()], sys.executable, os.path.join(support.CHART, "files", "keep_routes.py"), "keep", models, good=good)

    def test_jobs_write_the_routes_of_a_router_that_asks_for_certificates_and_without_one_do_not(self):
        own = f'discovery.file = "{self.file("nobody.toml", "")}"\nstore.folder = "{self.folder}/store"'
        self.start("router", FOLDER, "mesh-torchmesh-router-mesh-tls", own)
        tools = self.certificate("mesh-torchmesh-tools-mesh-tls")
        self.assertIn('model = "minilm"', self.keep(tools))
        self.assertIn("the routes stay as they are", self.keep(tools))
        self.keep(tools, good=False, without=("TORCHMESH_CERT_FILE", "TORCHMESH_CERT_KEY_FILE"))
        self.assertIn("certificate", self.keep(tools, good=False, without=("TORCHMESH_SERVER_NAME",)))

    def test_operators_reach_the_accounts_by_the_authority_in_their_secret(self):
        token = self.file("operator.token", "t" * 32)
        self.start("accounts", "/etc/torchmesh/tls", "mesh-torchmesh-accounts-tls", f'folder = "{self.folder}/accounts"\noperator_token_file = "{token}"')
        ask = (
            os.path.join(support.PROGRAMS, "meshctl"), "--output", "json", "--home", self.folder, "accounts", "tenant", "list", "--accounts-addr", f"https://127.0.0.1:{self.port}",
            "--token-file", token, "--ca-file", os.path.join(self.folder, "mesh-torchmesh-accounts-tls", "ca.crt"),
        )  # fmt: skip
        until = time.monotonic() + 60
        while subprocess.run([*ask, "--server-name", "mesh-torchmesh-accounts"], capture_output=True, check=False).returncode != 0:
            self.assertLess(time.monotonic(), until, "the accounts do not answer")
        self.assertIn("certificate", support.run(*ask, "--server-name", "another", good=False))


if __name__ == "__main__":
    unittest.main()

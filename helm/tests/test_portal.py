"""What the chart makes of the portal, and what the accounts do for it."""

import hashlib
import tomllib
import unittest

import support


class ThePortal(unittest.TestCase):
    def test_is_there_when_it_is_asked_for(self):
        self.assertFalse([each for each in support.objects("defaults") if "portal" in each["metadata"]["name"] or "pipelines" in each["metadata"]["name"]])
        self.assertEqual(support.find("production", "Service", "mesh-torchmesh-portal")["spec"]["ports"], [{"name": "http", "port": 80, "targetPort": "http"}])

    def test_is_told_where_accounts_and_gateway_are_and_letters_lead_to_it(self):
        config = self.config("production", "portal")
        self.assertIn('accounts = { "address" = "http://mesh-torchmesh-accounts:8083", "operator_token_file"', config)
        self.assertIn('gateway = { "address" = "http://mesh-torchmesh-gateway:80", "key_file" = "/etc/torchmesh/catalogue/key", "public_address" = "https://api.example.org" }', config)
        self.assertIn("sign_up = true", config)
        accounts = self.config("production", "accounts")
        self.assertIn('mail = { "link" = "https://portal.example.org/letters/{purpose}?token=", "outbox" = "/outbox" }', accounts)
        self.assertIn("sign_up = true", accounts)
        self.assertIn("sign_up = false", self.config("gpu", "accounts"))
        self.assertNotIn("sign_up", self.config("defaults", "accounts"))

    def test_has_the_operators_token_and_a_way_to_routers_only_when_there_are_operators(self):
        for values, has in (("production", True), ("gpu", False)):
            volumes = [volume["name"] for volume in support.pods(values)["mesh-torchmesh-portal"]["volumes"]]
            config = self.config(values, "portal")
            reached = support.find(values, "NetworkPolicy", "mesh-torchmesh-portal")["spec"]["egress"]
            self.assertEqual("tokens" in volumes, has)
            self.assertEqual("operator_token_file" in config, has)
            self.assertEqual('router = { "address" = "http://mesh-torchmesh-router:8081" }' in config, has)
            self.assertEqual([{"port": 8081}] in [rule["ports"] for rule in reached], has)

    def test_letters_are_taken_by_a_container_that_sees_nothing_else(self):
        pod = support.pods("production")["mesh-torchmesh-accounts"]
        (mailer,) = pod["initContainers"]
        self.assertEqual(mailer["restartPolicy"], "Always")
        self.assertEqual([mount["name"] for mount in mailer["volumeMounts"]], ["outbox", "tmp"])
        self.assertIn({"name": "outbox", "mountPath": "/outbox"}, pod["containers"][0]["volumeMounts"])
        self.assertNotIn("initContainers", support.pods("external")["mesh-torchmesh-accounts"])

    def test_letters_go_to_a_mail_server_with_a_password_from_a_secret(self):
        mail = self.config("external", "accounts")
        self.assertIn('"smtp" = { "address" = "smtp.example.org:587"', mail)
        self.assertIn('"password_file" = "/etc/torchmesh/smtp/password"', mail)
        self.assertIn('"ca_file" = "/etc/torchmesh/smtp-ca/ca.crt"', mail)
        pod = support.pods("external")["mesh-torchmesh-accounts"]
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "smtp-ca"]
        self.assertEqual((volume["secret"]["secretName"], volume["secret"]["items"]), ("mail-ca", [{"key": "authority.pem", "path": "ca.crt"}]))
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "smtp"]
        self.assertEqual((volume["secret"]["secretName"], volume["secret"]["items"]), ("mail", [{"key": "password", "path": "password"}]))
        self.assertIn({"name": "smtp", "mountPath": "/etc/torchmesh/smtp", "readOnly": True}, pod["containers"][0]["volumeMounts"])

    def test_letters_that_nobody_sends_are_told_of_and_no_others(self):
        self.assertIn("Nobody sends the accounts' letters", support.notes("gpu"))
        self.assertNotIn("etters", support.notes("external"))
        self.assertNotIn("etters", support.notes("gpu", "accounts.settings.mail.smtp.address=smtp:587"))
        self.assertIn("Letters that wait to be delivered are gone with the pod", support.notes("production"))

    def test_letters_wait_in_a_volume_where_one_is_named(self):
        pod = support.pods("external")["mesh-torchmesh-accounts"]
        self.assertIn({"name": "outbox", "persistentVolumeClaim": {"claimName": "letters"}}, pod["volumes"])
        self.assertIn({"name": "outbox", "mountPath": "/outbox"}, pod["containers"][0]["volumeMounts"])
        self.assertIn('"outbox" = "/outbox"', self.config("external", "accounts"))
        text = support.text("production", "--set", "accounts.outbox.volume.persistentVolumeClaim.claimName=letters", "--show-only", "templates/accounts/accounts.yaml")
        (accounts,) = [each["spec"]["template"]["spec"] for each in support.parsed(text) if each["kind"] == "StatefulSet"]
        self.assertIn({"name": "outbox", "persistentVolumeClaim": {"claimName": "letters"}}, accounts["volumes"])
        self.assertIn({"name": "outbox", "mountPath": "/outbox"}, accounts["initContainers"][0]["volumeMounts"])

    def test_has_a_key_of_its_own_that_lists_models_and_no_more(self):
        key = support.find("production", "Secret", "mesh-torchmesh-catalogue-key")["stringData"]["key"]
        keys = tomllib.loads(support.find("production", "Secret", "mesh-torchmesh-keys")["stringData"]["keys.toml"])["key"]
        self.assertEqual([(one["name"], one["scopes"]) for one in keys], [("first", ["infer", "models:read"]), ("catalogue", ["models:read"])])
        self.assertEqual(keys[1]["sha256"], hashlib.sha256(key.encode()).hexdigest())
        (volume,) = [volume for volume in support.pods("external")["mesh-torchmesh-portal"]["volumes"] if volume["name"] == "catalogue"]
        self.assertEqual((volume["secret"]["secretName"], volume["secret"]["items"]), ("our-catalogue-key", [{"key": "api-key", "path": "key"}]))

    def test_has_doors_by_ingress_and_by_gateway_api(self):
        (rule,) = support.find("production", "Ingress", "mesh-torchmesh-portal")["spec"]["rules"]
        self.assertEqual((rule["host"], rule["http"]["paths"][0]["backend"]["service"]), ("portal.example.org", {"name": "mesh-torchmesh-portal", "port": {"name": "http"}}))
        route = support.find("gpu", "HTTPRoute", "mesh-torchmesh-portal")["spec"]
        self.assertEqual(route["rules"][0]["backendRefs"], [{"name": "mesh-torchmesh-portal", "port": 80}])
        self.assertEqual(support.find("external", "Certificate", "mesh-torchmesh-portal-tls")["spec"]["dnsNames"], ["portal.example.org"])

    @staticmethod
    def config(values, component):
        return support.find(values, "ConfigMap", f"mesh-torchmesh-{component}")["data"]["config.toml"]


if __name__ == "__main__":
    unittest.main()

"""What people who look for weak points say: checkov of the manifests, hadolint of the Dockerfile."""

import os
import sys
import tempfile
import unittest

import support

# What checkov would have, and why we have it otherwise.
EXCEPTIONS = {
    "CKV_K8S_11": "no limits of the processor: they throttle a pod that has idle cores beside it, and a deadline is missed for nothing",
    "CKV_K8S_15": "an image's tag is its version and never moves; a node that has it need not ask a registry before a pod can start",
    "CKV_K8S_35": "credentials of object stores come by the environment, as their own libraries read them; only `envFrom` of your values does that",
    "CKV_K8S_38": "gateways, routers and pipelines that find others by the Kubernetes API have a token for it; test_chart.py holds all others to none",
    "CKV_K8S_43": "the chart cannot know the digests of images that you build; `digest` takes them, and production.yaml has them",
}


class Policies(unittest.TestCase):
    def test_checkov_finds_nothing_but_what_we_answer_for(self):
        with tempfile.TemporaryDirectory() as folder:
            for values in support.MATRIX:
                with open(os.path.join(folder, f"{values}.yaml"), "w", encoding="utf-8") as file:
                    file.write(support.text(values))
            checkov = os.path.join(os.path.dirname(sys.executable), "checkov")
            said = support.run(
                sys.executable, checkov, "--directory", folder, "--framework", "kubernetes", "--compact", "--quiet", "--skip-download",
                "--skip-check", ",".join(EXCEPTIONS),
            )  # fmt: skip
            self.assertNotIn("FAILED", said)

    def test_a_digest_wins_over_a_tag(self):
        for name, pod in support.pods("production").items():
            for container in pod["containers"]:
                self.assertRegex(container["image"], "@sha256:[0-9a-f]{64}$", name)

    def test_hadolint_has_nothing_to_say_against_the_dockerfile(self):
        support.run(os.path.join(os.path.dirname(sys.executable), "hadolint"), os.path.join(support.ROOT, "Dockerfile"))

    def test_every_image_runs_as_somebody_who_is_not_root_and_says_what_it_is(self):
        with open(os.path.join(support.ROOT, "Dockerfile"), encoding="utf-8") as file:
            stages = file.read().split("\nFROM ")
        images = [stage for stage in stages if "ENTRYPOINT" in stage]
        self.assertEqual(len(images), 8)
        for image in images:
            self.assertIn("USER 65532:65532", image)
            self.assertIn("org.opencontainers.image.revision", image)


if __name__ == "__main__":
    unittest.main()

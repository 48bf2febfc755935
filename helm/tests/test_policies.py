"""What people who look for weak points say: checkov of the manifests, hadolint of the Dockerfile."""

import json
import os
import re
import sys
import tempfile
import unittest

import support


def found(folder):
    """What checkov has against the manifests of a folder: its checks, each with the objects that fail it."""
    checkov = os.path.join(os.path.dirname(sys.executable), "checkov")
    said = support.run(
        sys.executable, checkov, "--directory", folder, "--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "--soft-fail", "--output", "json",
    )  # fmt: skip
    checks = {}
    for failed in json.loads(said)["results"]["failed_checks"]:
        checks.setdefault(failed["check_id"], []).append(f"{failed['file_path']}: {failed['resource']}")
    return checks


class Policies(unittest.TestCase):
    def test_checkov_finds_what_the_values_answer_for_and_nothing_else(self):
        exceptions = support.defaults()["policyExceptions"]
        with tempfile.TemporaryDirectory() as folder:
            texts = {values: support.text(values) for values in support.MATRIX} | {f"overlay-{name}": support.overlay(name) for name in support.OVERLAYS}
            for name, text in texts.items():
                with open(os.path.join(folder, f"{name}.yaml"), "w", encoding="utf-8") as file:
                    file.write(text)
            checks = found(folder)
        self.assertEqual({check: objects for check, objects in checks.items() if check not in exceptions}, {}, "neither mended nor answered for")
        self.assertEqual(set(exceptions) - set(checks), set(), "exceptions that nothing needs any more")

    def test_an_exception_has_a_reason(self):
        for reason in ("", "because"):
            self.assertIn("policyExceptions", support.refused(f"policyExceptions.CKV_K8S_1={reason}"))
        self.assertIn("everything", support.refused("policyExceptions.everything=a reason that is long enough"))

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
            for label in ("version", "revision", "source", "created"):
                self.assertIn(f"org.opencontainers.image.{label}=", image)
            self.assertRegex(image, r"COPY --from=sboms? |COPY --from=sbom-cuda |images/sbom\.py tools /sbom\.spdx\.json", "it does not say what it is made of")

    def test_what_images_stand_on_can_be_pinned(self):
        with open(os.path.join(support.ROOT, "Dockerfile"), encoding="utf-8") as file:
            bases = re.findall(r"(?m)^FROM (\S+)", file.read())
        self.assertLessEqual({base for base in bases if base != "scratch"}, {"${RUST_IMAGE}", "${BASE_IMAGE}", "${PYTHON_IMAGE}", "${PROGRAMS}", "sboms"})
        said = support.run("make", "-n", "images", "IMAGES=gateway", "BASE_IMAGE=debian@sha256:0123", "SOURCE_DATE_EPOCH=86400")
        for argument in ("BASE_IMAGE=debian@sha256:0123", "SOURCE_DATE_EPOCH=86400"):
            self.assertIn(f"--build-arg {argument} ", said)
        self.assertNotIn("RUST_IMAGE=", said)


if __name__ == "__main__":
    unittest.main()

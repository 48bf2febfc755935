"""What images say that they are made of: true to Cargo.lock, valid SPDX, and the same every time."""

import json
import os
import sys
import tempfile
import unittest

import support

PROGRAM = os.path.join(support.ROOT, "images", "sbom.py")
STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 Version: of nothing

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0
"""


class WhatIsInAnImage(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = temporary.name
        self.status = self.file("status", STATUS)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def made(self, *arguments, good=True, out="sbom.spdx.json"):
        """Where the document is, or what is said against it."""
        path = os.path.join(self.folder, out)
        said = support.run("env", "SOURCE_DATE_EPOCH=1790000000", sys.executable, PROGRAM, "gateway", path, "--version", "0.1.0", *arguments, good=good)
        return path if good else said

    def parts(self, *arguments):
        """Names and versions of what is in it."""
        with open(self.made(*arguments), encoding="utf-8") as file:
            return {(part["name"], part["versionInfo"]) for part in json.load(file)["packages"]}

    def test_is_valid_spdx(self):
        tool = os.path.join(os.path.dirname(sys.executable), "pyspdxtools")
        path = self.made("--program", "torchmesh-worker", "--libtorch", "--dpkg", self.status)
        support.run(tool, "--infile", path)
        with open(path, encoding="utf-8") as file:
            wrong = json.load(file)
        wrong["packages"] = wrong["packages"][:1]
        support.run(tool, "--infile", self.file("wrong.spdx.json", json.dumps(wrong)), good=False)

    def test_is_the_same_every_time_and_has_the_time_that_it_is_told(self):
        texts = []
        for out in ("one.json", "other.json"):
            with open(self.made("--program", "torchmesh-gateway", "--dpkg", self.status, out=out), encoding="utf-8") as file:
                texts.append(file.read())
        self.assertEqual(texts[0], texts[1])
        self.assertEqual(json.loads(texts[0])["creationInfo"]["created"], "2026-09-21T14:13:20Z")

    def test_has_what_a_program_is_built_of_and_not_what_its_tests_need(self):
        names = {name for name, _ in self.parts("--program", "torchmesh-gateway")}
        self.assertLessEqual({"torchmesh-gateway", "torchmesh-relay", "tokio", "h2", "rustls", "ring"}, names)
        self.assertFalse({"torchmesh-worker", "proptest", "criterion"} & names)

    def test_has_the_packages_of_debian_that_are_installed_and_the_wheels_of_libtorch(self):
        parts = self.parts("--dpkg", self.status, "--libtorch")
        self.assertIn(("libc6", "2.36-9+deb12u10"), parts)
        self.assertEqual({name for name, _ in parts}, {"torchmesh-gateway", "libc6", "torch", "nvidia-cuda-runtime", "nvidia-cuda-cupti"})
        wheels = self.file("wheels.json", json.dumps([{"name": "torch", "version": "2.11.0"}, {"name": "nvidia-cublas", "version": "13.1"}, {"name": "sympy", "version": "1"}]))
        self.assertEqual(self.parts("--wheels", wheels, "torch|nvidia-.*"), {("torchmesh-gateway", "0.1.0"), ("torch", "2.11.0"), ("nvidia-cublas", "13.1")})

    def test_nothing_where_something_was_promised_is_an_error(self):
        self.assertIn("Cargo.lock has no package torchmesh-gatway", self.made("--program", "torchmesh-gatway", good=False))
        self.assertIn("has no package that is installed", self.made("--dpkg", self.file("empty", ""), good=False))
        self.assertIn("has no wheel", self.made("--wheels", self.file("none.json", "[]"), "torch", good=False))


if __name__ == "__main__":
    unittest.main()

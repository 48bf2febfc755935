"""The programs are built once: with the same features for `make build` and for the tests."""

import collections
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def features(edges):
    """The features that each package of the lock file is built with, where these dependencies are looked at."""
    command = ["cargo", "tree", "--workspace", "--locked", "--edges", edges, "--prefix", "none", "--no-dedupe", "--format", "{p}|{f}"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = collections.defaultdict(set)
    for line in told.splitlines():
        package, _, given = line.partition("|")
        if package:
            found[package.split(" (")[0]].add(given.removesuffix(" (*)"))
    return found


class OneBuild(unittest.TestCase):
    def test_what_only_tests_need_changes_no_feature_of_what_is_served(self):
        served, tested = features("normal"), features("normal,dev")
        self.assertIn("torchmesh-gateway v0.1.0", served)
        other = {package: (served[package], tested[package]) for package in served if not tested[package] >= served[package]}
        self.assertEqual(other, {}, "make what needs the other features a dependency, and not a development dependency, of torchmesh-tests")

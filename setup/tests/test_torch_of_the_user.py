"""A torch that the user already has is used, when it is the right one."""

from __future__ import annotations

import os
from unittest import mock

from support import FetchCase

from fetching.errors import CANNOT_WRITE, WRONG_SETTING, FetchError


class TorchOfTheUser(FetchCase):
    def setUp(self):
        super().setUp()
        self.torch = os.path.join(self.scratch, "packages", "torch")
        self.libtorch = self.item(home_link="libtorch")
        self.link = os.path.join(self.home, "libtorch")

    def torch_folder(self, file, text):
        for folder in ("lib", "include"):
            os.makedirs(os.path.join(self.torch, folder), exist_ok=True)
        for name, content in (("__init__.py", ""), (file, text)):
            with open(os.path.join(self.torch, name), "w", encoding="utf-8") as handle:
                handle.write(content)

    def wrong(self, **environment):
        with mock.patch.dict(os.environ, environment), self.assertRaises(FetchError) as caught:
            self.fetch(self.libtorch)
        self.assertEqual(caught.exception.code, WRONG_SETTING)
        self.assertFalse(os.path.lexists(self.link))
        return f"{caught.exception.problem} {caught.exception.remedy}"

    def test_without_settings_the_download_is_linked_in_the_home_folder(self):
        self.fetch(self.libtorch)
        self.assertEqual(os.readlink(self.link), self.place())

    def test_libtorch_of_the_right_version_is_linked_and_nothing_is_downloaded(self):
        self.torch_folder("build-version", "1.0+cpu\n")
        with mock.patch.dict(os.environ, LIBTORCH=self.torch):
            result = self.fetch(self.libtorch)
        self.assertEqual(result["state"], "given")
        self.assertIn("LIBTORCH is set", result["note"])
        self.assertTrue(os.path.samefile(os.path.join(self.link, "torch"), self.torch))
        self.assertEqual(self.index.requests, [])

    def test_the_download_takes_the_link_back_when_the_setting_is_gone(self):
        self.torch_folder("build-version", "1.0")
        with mock.patch.dict(os.environ, LIBTORCH=self.torch):
            self.fetch(self.libtorch)
        self.fetch(self.libtorch)
        self.assertEqual(os.readlink(self.link), self.place())

    def test_another_version_is_refused_with_both_versions_and_a_remedy(self):
        self.torch_folder("build-version", "2.9.1+cu130\n")
        said = self.wrong(LIBTORCH=self.torch)
        self.assertIn("2.9.1+cu130", said)
        self.assertIn("1.0", said)
        self.assertIn("unset LIBTORCH", said)

    def test_a_folder_that_is_no_torch_is_refused(self):
        self.assertIn("no lib/", self.wrong(LIBTORCH=os.path.join(self.scratch, "nowhere")))
        self.torch_folder("README", "")
        self.assertIn("build-version", self.wrong(LIBTORCH=self.torch))

    def test_libtorch_that_names_our_own_link_changes_nothing(self):
        with mock.patch.dict(os.environ, LIBTORCH=os.path.join(self.link, "torch")):
            self.assertEqual(self.fetch(self.libtorch)["state"], "fetched")

    def test_the_torch_of_python_is_used_when_asked_for(self):
        self.torch_folder("version.py", "__all__ = []\n__version__ = '1.0+cu130'\n")
        with mock.patch.dict(os.environ, LIBTORCH_USE_PYTORCH="1", PYTHONPATH=os.path.dirname(self.torch)):
            self.assertEqual(self.fetch(self.libtorch)["path"], self.torch)
        self.assertTrue(os.path.samefile(os.path.join(self.link, "torch"), self.torch))

    def test_a_python_without_torch_is_refused_with_a_remedy(self):
        with mock.patch("subprocess.run", side_effect=FileNotFoundError):
            self.assertIn("pip install torch==1.0", self.wrong(LIBTORCH_USE_PYTORCH="1"))

    def test_other_items_do_not_care_about_libtorch(self):
        with mock.patch.dict(os.environ, LIBTORCH="/nowhere"):
            self.assertEqual(self.fetch()["state"], "fetched")

    def test_a_folder_in_the_place_of_the_link_is_not_touched(self):
        os.makedirs(self.link)
        with self.assertRaises(FetchError) as caught:
            self.fetch(self.libtorch)
        self.assertEqual(caught.exception.code, CANNOT_WRITE)
        self.assertTrue(os.path.isdir(self.link))

    def test_another_platform_is_told_what_to_do_instead(self):
        with self.assertRaises(FetchError) as caught:
            self.fetch(self.item(home_link="libtorch", platform="plan9-mips"))
        self.assertIn("LIBTORCH", caught.exception.remedy)

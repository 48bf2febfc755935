"""What the hooks do to the routes, with a meshctl that keeps them in a file."""

import importlib.util
import json
import os
import stat
import sys
import tempfile
import tomllib
import unittest

import support

PATH = os.path.join(support.CHART, "files", "keep_routes.py")
SPEC = importlib.util.spec_from_file_location("keep_routes", PATH)
keep_routes = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(keep_routes)

MESHCTL = """#!{python}
import json, sys
path = {path!r}
if "get" in sys.argv:
    print(json.dumps({{"version": 7, "routes": open(path).read()}}))
else:
    assert sys.argv[-1] == "7", sys.argv
    open(path, "w").write(sys.stdin.read())
    print("{{}}")
"""
WRITTEN = """# by hand
[[route]]
model = "minilm"    # a comment
to = [{ version = "1", weight = 90 }, { version = "2", weight = 10 }]
sticky = "tenant"

[[route]]
model = "other"
to = [{ version = "9" }]
"""


def routes(text):
    """The routes by their models."""
    return {route["model"]: route for route in tomllib.loads(text).get("route", [])}


class KeepingRoutes(unittest.TestCase):
    def test_a_model_without_a_route_gets_one_to_its_first_version(self):
        text, problems = keep_routes.planned("keep", {"minilm": ["1", "2"], "new": ["3", "4"]}, WRITTEN)
        self.assertEqual(problems, [])
        self.assertEqual(routes(text)["new"]["to"], [{"version": "3"}])
        self.assertTrue(text.startswith(WRITTEN), "what was written stays as it is")

    def test_of_no_routes_at_all_come_routes_for_all(self):
        text, _ = keep_routes.planned("keep", {"a": ["1"], "b": ["2"]}, "")
        self.assertEqual({model: route["to"] for model, route in routes(text).items()}, {"a": [{"version": "1"}], "b": [{"version": "2"}]})

    def test_nothing_changes_when_every_model_has_its_route(self):
        text, problems = keep_routes.planned("keep", {"minilm": ["1", "2"]}, WRITTEN)
        self.assertEqual((text, problems), (WRITTEN, []))

    def test_a_version_that_answers_is_not_taken_away(self):
        _, problems = keep_routes.planned("keep", {"minilm": ["2"]}, WRITTEN)
        self.assertEqual(len(problems), 1)
        self.assertIn("minilm gives calls to version 1", problems[0])
        self.assertIn("meshctl rollout", problems[0])

    def test_a_version_that_has_no_calls_any_more_may_go(self):
        promoted = WRITTEN.replace("90", "0").replace("weight = 10", "weight = 100")
        text, problems = keep_routes.planned("keep", {"minilm": ["2"]}, promoted)
        self.assertEqual((text, problems), (promoted, []))

    def test_before_a_rollback_calls_are_led_to_a_version_that_stays(self):
        promoted = WRITTEN.replace("90", "0").replace("weight = 10", "weight = 100")
        text, problems = keep_routes.planned("lead-back", {"minilm": ["1"]}, promoted)
        self.assertEqual(problems, [])
        self.assertEqual(routes(text)["minilm"], {"model": "minilm", "to": [{"version": "1"}], "sticky": "tenant"})
        self.assertIn('[[route]]\nmodel = "other"\nto = [{ version = "9" }]\n', text)

    def test_a_rollback_takes_exceptions_and_shadows_of_what_goes_with_it(self):
        text = WRITTEN.replace('sticky = "tenant"', 'except = [{ header = "x", value = "y", version = "2" }, { tenant = "a", version = "1" }]\nshadow = { version = "2" }')
        led, _ = keep_routes.planned("lead-back", {"minilm": ["1"]}, text)
        self.assertEqual(routes(led)["minilm"], {"model": "minilm", "to": [{"version": "1"}], "except": [{"tenant": "a", "version": "1"}]})

    def test_a_rollback_leaves_alone_what_it_does_not_concern(self):
        text, problems = keep_routes.planned("lead-back", {"minilm": ["1", "2"]}, WRITTEN)
        self.assertEqual((text, problems), (WRITTEN, []))

    def test_the_program_reads_and_writes_by_meshctl(self):
        with tempfile.TemporaryDirectory() as folder:
            store, models, program = (os.path.join(folder, name) for name in ("routes.toml", "models.json", "meshctl"))
            with open(store, "w", encoding="utf-8") as file:
                file.write(WRITTEN)
            with open(models, "w", encoding="utf-8") as file:
                json.dump({"minilm": ["1", "2"], "new": ["1"]}, file)
            with open(program, "w", encoding="utf-8") as file:
                file.write(MESHCTL.format(python=sys.executable, path=store))
            os.chmod(program, os.stat(program).st_mode | stat.S_IXUSR)
            said = support.run("env", f"MESHCTL={program}", sys.executable, PATH, "keep", models)
            self.assertIn("the routes are now", said)
            with open(store, encoding="utf-8") as file:
                self.assertEqual(set(routes(file.read())), {"minilm", "other", "new"})
            with open(models, "w", encoding="utf-8") as file:
                json.dump({"minilm": ["2"]}, file)
            self.assertIn("lead them away first", support.run("env", f"MESHCTL={program}", sys.executable, PATH, "keep", models, good=False))

    def test_a_router_that_does_not_answer_is_waited_for_no_longer_than_the_patience(self):
        said = support.run("env", "MESHCTL=/bin/false", "PATIENCE_SECONDS=1", sys.executable, PATH, "keep", support.temporary("{}", ".json"), good=False)
        self.assertIn("meshctl failed", said)


if __name__ == "__main__":
    unittest.main()

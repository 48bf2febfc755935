"""What the tests of the chart stand on: where things are, and what the chart makes of values."""

import functools
import glob
import os
import subprocess
import tempfile

import kubernetes_validate
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CHART = os.path.join(ROOT, "helm", "torchmesh")
CACHE = os.environ.get("TORCHMESH_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "torchmesh")
TOOLS = os.path.join(CACHE, "charts")
PROMTOOL = os.path.join(CACHE, "promtool-2.24.1", "bin", "promtool")
PROGRAMS = os.environ.get("TORCHMESH_BIN_DIR") or os.path.join(os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target"), "release")
MATRIX = {os.path.basename(path)[: -len(".yaml")]: path for path in sorted(glob.glob(os.path.join(HERE, "matrix", "*.yaml")))}
# From the oldest that the chart is for to the newest that is known.
KUBERNETES = ("1.29", "1.32", "1.34", "1.37")
# What kustomize makes of k8s/base.
OVERLAYS = ("dev", "production")

# The schemas of a version are one file of megabytes, which would be read for each object.
kubernetes_validate.utils.schema_contents = functools.lru_cache(maxsize=None)(kubernetes_validate.utils.schema_contents)
kubernetes_validate.utils.all_versions = functools.lru_cache(maxsize=None)(kubernetes_validate.utils.all_versions)


def run(*command, given=None, good=True):
    """Runs a command; answers what it says. Fails when it fails, or with good=False when it does not."""
    answer = subprocess.run(command, input=given, capture_output=True, text=True, check=False, cwd=ROOT)
    said = answer.stdout if good else answer.stdout + answer.stderr
    if (answer.returncode == 0) != good:
        raise AssertionError(f"{' '.join(command)}: exit code {answer.returncode}\n{answer.stdout}{answer.stderr}")
    return said


def helm(*arguments, good=True):
    """Runs helm."""
    return run(os.path.join(TOOLS, "helm"), *arguments, good=good)


def refused(*settings, values="defaults"):
    """What helm says of values that it must refuse."""
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    return helm("template", "mesh", CHART, "--values", MATRIX[values], *arguments, good=False)


@functools.lru_cache(maxsize=None)
def text(values, *arguments):
    """The manifests of a row of the matrix, as helm prints them."""
    return helm("template", "mesh", CHART, "--namespace", "torchmesh", "--values", MATRIX[values], *arguments)


def notes(values, *settings):
    """What helm says after an install."""
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    said = helm("install", "mesh", CHART, "--namespace", "torchmesh", "--dry-run=client", "--values", MATRIX[values], *arguments)
    return said.partition("\nNOTES:\n")[2]


@functools.lru_cache(maxsize=None)
def objects(values):
    """The same as objects, which nobody changes."""
    return parsed(text(values))


def parsed(manifests):
    """The objects of a text."""
    return [each for each in yaml.load_all(manifests, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if each]


def defaults():
    """The values that hold where nobody says otherwise."""
    with open(os.path.join(CHART, "values.yaml"), encoding="utf-8") as file:
        return yaml.safe_load(file)


@functools.lru_cache(maxsize=None)
def overlay(name):
    """What kustomize makes of an overlay, as it prints it."""
    return run(os.path.join(TOOLS, "kubectl"), "kustomize", os.path.join(ROOT, "k8s", "overlays", name))


def find(values, kind, name):
    """The one object of this kind and name."""
    (found,) = [each for each in objects(values) if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def pods(values):
    """The spec of every pod, by the name of what makes it."""
    found = {}
    for each in objects(values):
        if each["kind"] in ("Deployment", "StatefulSet", "Job"):
            found[each["metadata"]["name"]] = each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            found[each["metadata"]["name"]] = each["spec"]
    return found


def settings(values):
    """The settings files of the services: (service, name, text)."""
    services = ("gateway", "router", "accounts", "portal", "pipelines")
    for each in objects(values):
        data = each.get("data") or {}
        if each["kind"] == "ConfigMap" and "config.toml" in data:
            component = each["metadata"]["labels"]["app.kubernetes.io/component"]
            yield (component if component in services else "worker", each["metadata"]["name"], data["config.toml"], data.get("model.toml"))


def temporary(content, suffix):
    """A file with this content, which its reader removes."""
    with tempfile.NamedTemporaryFile("w", suffix=suffix, delete=False, encoding="utf-8") as file:
        file.write(content)
    return file.name

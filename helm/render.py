#!/usr/bin/env python3
"""Renders k8s/base from the chart: `render.py HELM` writes it, `render.py HELM --check` fails when it is not what the chart says."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = os.path.join(ROOT, "k8s", "base", "torchmesh.yaml")
HEAD = "# Rendered from helm/torchmesh and k8s/values.yaml by `make manifests`. Change those.\n"


def rendered(helm):
    """What the chart says."""
    command = [helm, "template", "torchmesh", os.path.join(ROOT, "helm", "torchmesh"), "--namespace", "torchmesh", "--no-hooks"]
    command += ["--values", os.path.join(ROOT, "k8s", "values.yaml")]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return HEAD + text.replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kustomize")


def main(helm, check):
    """Writes or compares; answers the exit code."""
    text = rendered(helm)
    if check:
        with open(OUT, encoding="utf-8") as file:
            if file.read() == text:
                return 0
        print("error: k8s/base/torchmesh.yaml is not what the chart says\nhelp: `make manifests`, and commit it with the chart", file=sys.stderr)
        return 1
    with open(OUT, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--check" in sys.argv))

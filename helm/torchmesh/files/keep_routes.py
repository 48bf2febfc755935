"""What the chart's hooks do to the routes: `keep_routes.py keep|lead-back MODELS.json`.

MODELS.json has the versions of each model that the release has, the first being the one that answers until a route says otherwise.

keep        (after an install, before an upgrade) gives each model that has no route one to its first version, so that a version that is new answers nobody
            before its route says so; and refuses when a route gives calls to a version that the release will not have.
lead-back   (before a rollback) leads routes away from versions that the release will not have, to the first one.

Everything else in the routes stays as it was written.
"""

import json
import os
import re
import subprocess
import sys
import time
import tomllib


def main(mode, path):
    """Does it; answers the exit code."""
    with open(path, encoding="utf-8") as file:
        models = json.load(file)
    patience = time.monotonic() + float(os.environ.get("PATIENCE_SECONDS", "300"))
    while True:
        try:
            return change(mode, models)
        except Unreachable as error:
            if time.monotonic() > patience - 15:
                print(f"error: {error}", file=sys.stderr)
                return 1
            print(f"waiting: {error}", flush=True)
            time.sleep(2)


class Unreachable(Exception):
    """No router answers, or somebody else changed the routes meanwhile."""


def change(mode, models):
    """Reads the routes, and writes them where something is to be changed."""
    now = json.loads(meshctl("get"))
    text, problems = planned(mode, models, now["routes"])
    if problems:
        print("error: " + "\n       ".join(problems), file=sys.stderr)
        return 1
    if text == now["routes"]:
        print("the routes stay as they are")
        return 0
    meshctl("set", "-", "--if-version", str(now["version"]), given=text)
    print("the routes are now:\n" + text)
    return 0


def planned(mode, models, text):
    """The routes as they are to be, and what stands against it."""
    blocks = split(text)
    routes = [route_of(block) for block in blocks]
    problems = []
    for at, route in enumerate(routes):
        if not route or "to" not in route:
            continue
        gone = [one for one in route["to"] if is_gone(one, route, models)]
        if not gone:
            continue
        if mode == "lead-back":
            blocks[at] = led_back(route, models) + "\n"
        elif any(one.get("weight", 100) > 0 for one in gone):
            versions = ", ".join(one["version"] for one in gone)
            problems.append(
                f"the route of {route['model']} gives calls to version {versions}, which these values do not have; "
                "lead them away first, by `meshctl rollout` or `meshctl route set`"
            )
    known = {route["model"] for route in routes if route}
    for model, versions in models.items():
        if model not in known:
            blocks.append(f'[[route]]\nmodel = {quoted(model)}\nto = [{{ version = {quoted(versions[0])} }}]\n')
            apart(blocks)
    return "".join(blocks), problems


def is_gone(destination, route, models):
    """Whether a destination names a version of one of our models that the release does not have."""
    versions = models.get(destination.get("model", route["model"]))
    return versions is not None and "version" in destination and destination["version"] not in versions


def led_back(route, models):
    """The same route without the versions that go; without a destination that is left, to the first version."""
    left = [one for one in route["to"] if not is_gone(one, route, models) and one.get("weight", 100) > 0]
    if len(left) != len(route["to"]):
        versions = models.get(route["model"])
        left = [{"version": versions[0]}] if versions else left[:1]
        for one in left:
            one.pop("weight", None)
    kept = {key: value for key, value in route.items() if key not in ("to", "shadow", "except")}
    exceptions = [one for one in route.get("except", []) if not is_gone(one, route, models)]
    changed = {"model": route["model"], "to": left, **kept}
    if exceptions:
        changed["except"] = exceptions
    shadow = route.get("shadow")
    if shadow and not is_gone(shadow, route, models):
        changed["shadow"] = shadow
    return "[[route]]\n" + "".join(f"{key} = {value_of(value)}\n" for key, value in changed.items())


def split(text):
    """The text in pieces: what is before the first route, then each route with what follows it."""
    return re.split(r"(?m)^(?=[ \t]*\[\[[ \t]*route[ \t]*\]\])", text)


def apart(blocks):
    """Sees to an empty line before the last piece."""
    before = "".join(blocks[:-1])
    if before:
        blocks[-2] += "\n" * max(0, 2 - (len(before) - len(before.rstrip("\n"))))


def route_of(block):
    """The route in a piece; None where there is none."""
    found = tomllib.loads(block).get("route")
    return found[0] if found else None


def quoted(text):
    """A text as TOML has it."""
    return json.dumps(text, ensure_ascii=False)


def value_of(value):
    """A value as TOML has it, in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {value_of(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(value_of(one) for one in value) + "]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def meshctl(*arguments, given=None):
    """Runs `meshctl route …`; answers what it prints."""
    program = os.environ.get("MESHCTL", "meshctl")
    answer = subprocess.run([program, "--output", "json", "--home", "/tmp", "route", *arguments], input=given, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise Unreachable((answer.stderr.strip() or answer.stdout.strip() or "meshctl failed").splitlines()[0])
    return answer.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))

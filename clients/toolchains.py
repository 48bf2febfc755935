"""Which tools each language needs, and what to do where one is missing."""

import re
import shutil
import subprocess

# By language: a program, how it is asked for its version, the lowest that will do, and where to get it.
NEEDED = {
    "python": [],
    "go": [("go", ["version"], (1, 21), "install Go 1.21 or later, for example the package golang")],
    "typescript": [
        ("node", ["--version"], (20,), "install Node.js 20 or later, for example the package nodejs"),
        ("npm", ["--version"], (8,), "install npm 8 or later, for example the package npm"),
    ],
    "java": [
        ("javac", ["-version"], (17,), "install a JDK, 17 or later, for example the package default-jdk-headless"),
        ("mvn", ["--version"], (3, 6), "install Maven 3.6 or later, for example the package maven"),
    ],
}


def missing(language, find=shutil.which, ask=None):
    """What a language lacks on this machine and the remedy, in one line; nothing where it lacks nothing."""
    for program, question, lowest, remedy in NEEDED[language]:
        if not find(program):
            return f"{program} is not installed; {remedy}"
        told = (ask or answer)([program, *question])
        if version(told) < lowest:
            return f"{program} is too old ({told.splitlines()[0] if told else 'it does not tell its version'}); {remedy}"
    return None


def version(told):
    """The first version number in a text, as a tuple that can be compared."""
    found = re.search(r"\d+(?:\.\d+)*", told)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def answer(command):
    """What a program says of itself."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    # Maven writes it in bold, terminal or not; and a JVM first says what it has taken from the environment.
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    return re.sub(r"(?m)^Picked up .*\n?", "", said).strip()

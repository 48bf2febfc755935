"""Where clients are made: beside their place, and moved there when they are whole."""

import hashlib
import os
import re
import shutil
import subprocess
import sys

CLIENTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(CLIENTS)
PROTOS = os.path.join(ROOT, "proto")
# What a client was made from, in its folder.
STAMP = ".made-from"
# What the Go client is called unless somebody says otherwise.
GO_MODULE = "example.org/torchmesh"


class Failure(Exception):
    """A client could not be made; the text says why."""


class Unfetched(Failure):
    """A package could not be fetched: of the client nothing is known."""


# What go, npm, maven and pip say when a registry does not answer, or has not got it.
NOT_FETCHED = re.compile(
    r"dial tcp|no such host|i/o timeout|proxyconnect|TLS handshake timeout|reading \S+: (403|404|410|429|5\d\d)"
    r"|npm error code (E\d\d\d|ENOTFOUND|ETIMEDOUT|ECONNREFUSED|ECONNRESET|EAI_AGAIN)"
    r"|Could not (transfer|find) artifact|Could not resolve dependencies|Unknown host"
    r"|Could not find a version|Max retries exceeded|Network is unreachable|Temporary failure in name resolution"
)


class Workplace:
    """The folders of one run, and how programs are run in them."""

    def __init__(self, out, cache, go_module=None):
        self.out = out
        self.cache = cache
        self.go_module = go_module or GO_MODULE

    def provide(self, language, build):
        """Makes a client unless it is there as it should be; answers where it is, in words."""
        place = os.path.join(self.out, language.name)
        wanted = self._made_from(language)
        if read(os.path.join(place, STAMP)) != wanted:
            self._make(language, place)
            with open(os.path.join(place, STAMP), "w", encoding="utf-8") as file:
                file.write(wanted)
        try:
            if build:
                language.build(self, place)
        except Unfetched:
            # Nobody takes it for one that can be used.
            os.remove(os.path.join(place, STAMP))
            raise
        return place

    def _make(self, language, place):
        draft = os.path.join(self.out, f".{language.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(os.path.join(CLIENTS, language.name), draft, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        language.generate(self, draft)
        shutil.rmtree(place, ignore_errors=True)
        os.rename(draft, place)

    def _made_from(self, language):
        """A digest of everything that decides how the client looks."""
        digest = hashlib.sha256(self.go_module.encode())
        folders = [PROTOS, os.path.join(CLIENTS, language.name)]
        files = [os.path.join(at, name) for folder in folders for at, _, names in os.walk(folder) for name in names]
        files += [os.path.join(CLIENTS, name) for name in os.listdir(CLIENTS) if name.endswith((".py", ".txt"))]
        for path in sorted(files):
            digest.update(os.path.relpath(path, ROOT).encode() + b"\0")
            with open(path, "rb") as file:
                digest.update(hashlib.sha256(file.read()).digest())
        return digest.hexdigest()

    def tools(self, language):
        """A folder for a language's generators, which stay."""
        folder = os.path.join(self.cache, language)
        os.makedirs(folder, exist_ok=True)
        return folder

    def buf(self, draft, protos=PROTOS, path=()):
        """Runs the generators that the client's buf.gen.yaml names; they are looked for in `path` first."""
        template = os.path.join(draft, "buf.gen.yaml")
        self.run(["buf", "generate", protos, "--template", template, "--output", draft], path=path)
        os.remove(template)

    def run(self, command, cwd=ROOT, path=(), environment=()):
        """Runs a program; raises a Failure with what it said when it fails."""
        # Programs of the environment that runs this, buf among them, are found as if it were activated.
        folders = [*path, os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
        env = {**os.environ, "PATH": os.pathsep.join(folders), **dict(environment)}
        program = shutil.which(command[0], path=env["PATH"]) or command[0]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        try:
            done = subprocess.run([program, *command[1:]], cwd=cwd, env=env, text=True, check=False, **streams)
        except OSError as error:
            raise Failure(f"`{command[0]}` cannot be run: {error.strerror}") from error
        if done.returncode != 0:
            kind = Unfetched if NOT_FETCHED.search(done.stdout) else Failure
            raise kind(f"`{' '.join(command)}` ended with {done.returncode}\n{done.stdout.rstrip()}")


def read(path):
    """A file's text; nothing where there is no file."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None

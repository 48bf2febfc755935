"""How the client of each language is made, and how its quickstart is compiled."""

import os
import shutil
import sys

from workplace import GO_MODULE, PROTOS, Failure


class Python:
    """Modules under `torchmesh`, made by protoc as grpcio-tools has it: its generator for gRPC is no program of its own that buf could run."""

    name = "python"

    def generate(self, place, draft):
        """Writes the modules into the draft."""
        protos, image = os.path.join(draft, ".protos"), os.path.join(draft, ".image.binpb")
        files = move_under_torchmesh(protos)
        place.run(["buf", "build", protos, "--output", image])
        outputs = [f"--{kind}_out={draft}" for kind in ("python", "pyi", "grpc_python", "mypy_grpc")]
        place.run([sys.executable, "-m", "grpc_tools.protoc", f"--descriptor_set_in={image}", *outputs, *files])
        open(os.path.join(draft, "torchmesh", "py.typed"), "w", encoding="utf-8").close()
        os.remove(image)
        shutil.rmtree(protos)

    def build(self, place, folder):
        """Installs the package into an environment of its own."""
        environment = os.path.join(folder, ".venv")
        python, done = os.path.join(environment, "bin", "python"), os.path.join(environment, ".installed")
        if not os.path.exists(done):
            try:
                place.run([sys.executable, "-m", "venv", "--clear", environment])
                pip = [python, "-m", "pip"]
            except Failure:
                # Where Python comes without ensurepip, as Debian has it, a pip from outside does it.
                place.run([sys.executable, "-m", "venv", "--clear", "--without-pip", environment])
                pip = ["pip", "--python", python]
            place.run([*pip, "install", "--quiet", "--disable-pip-version-check", folder])
            open(done, "w", encoding="utf-8").close()


def move_under_torchmesh(folder):
    """The protos with the published protocol's files under `torchmesh`: a module's place is its file's, and `inference` would be everybody's."""
    shutil.copytree(PROTOS, folder)
    os.rename(os.path.join(folder, "inference"), os.path.join(folder, "torchmesh", "inference"))
    files = sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
    for path in files:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace('import "inference/', 'import "torchmesh/inference/'))
    return [os.path.relpath(path, folder) for path in files]


class Go:
    """A Go module."""

    name = "go"

    def generate(self, place, draft):
        """Writes the packages into the draft."""
        for name in ("go.mod", "buf.gen.yaml", os.path.join("quickstart", "main.go")):
            path = os.path.join(draft, name)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace(GO_MODULE, place.go_module))
        plugins = os.path.join(draft, "plugins.txt")
        with open(plugins, encoding="utf-8") as file:
            wanted = file.read().split()
        tools = place.tools(self.name)
        for plugin in wanted:
            place.run(["go", "install", plugin], environment={"GOBIN": tools})
        os.remove(plugins)
        place.buf(draft, path=[tools])

    def build(self, place, folder):
        """Compiles the module and the quickstart."""
        place.run(["go", "build", "-o", os.path.join(folder, ".built") + os.sep, "./..."], cwd=folder)


class TypeScript:
    """An npm package of modules with their types, for Node.js."""

    name = "typescript"

    def generate(self, place, draft):
        """Writes the modules into the draft."""
        place.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=draft)
        place.buf(draft, path=[os.path.join(draft, "node_modules", ".bin")])

    def build(self, place, folder):
        """Compiles the quickstart."""
        place.run(["npm", "run", "build"], cwd=folder)


class Java:
    """A Maven project."""

    name = "java"

    def generate(self, place, draft):
        """Writes the classes into the draft."""
        tools = place.tools(self.name)
        place.run(["mvn", "--batch-mode", "--quiet", f"-Dgenerators={tools}", "dependency:copy@generators"], cwd=draft)
        for name in ("protoc", "protoc-gen-grpc-java"):
            program = os.path.join(tools, name)
            shutil.copyfile(f"{program}.exe", program)
            os.chmod(program, 0o755)
        place.buf(draft, path=[tools])

    def build(self, place, folder):
        """Compiles the classes and the quickstart."""
        place.run(["mvn", "--batch-mode", "--quiet", "test-compile"], cwd=folder)


LANGUAGES = {language.name: language for language in (Python(), Go(), TypeScript(), Java())}

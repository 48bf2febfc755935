#!/usr/bin/env python3
"""Says what an image is made of, as SPDX 2.3 in JSON: `sbom.py IMAGE OUT --program torchmesh-gateway …`; `--help` has the rest.

Of crates it takes what Cargo.lock has of the program's package: what other systems need is in it too, what only tests need is not. The same sources give the same bytes.
"""

import argparse
import datetime
import glob
import hashlib
import json
import os
import re
import sys
import urllib.parse
import uuid

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit("error: Python 3.11 or later is needed for this")

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LICENCE = "Apache-2.0"


def main():
    """Writes it."""
    options = arguments()
    parts, edges = [], []
    for program in options.program:
        crates, needs = closure(program)
        parts += crates
        edges += needs
    for path in options.dpkg:
        parts += debian(path)
    if options.libtorch:
        parts += libtorch()
    if options.wheels:
        parts += wheels(*options.wheels)
    text = json.dumps(document(options, distinct(parts), sorted(set(edges))), indent=1, sort_keys=True)
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    with open(options.out, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def arguments():
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", help="its name, such as gateway")
    parser.add_argument("out", help="the file that is written")
    parser.add_argument("--version", default="dev", help="the image's version")
    parser.add_argument("--program", action="append", default=[], help="a package of Cargo.lock whose program is in it")
    parser.add_argument("--dpkg", action="append", default=[], help="a status file of dpkg, or a folder of them")
    parser.add_argument("--libtorch", action="store_true", help="the libtorch of setup/catalogue.json is in it")
    parser.add_argument("--wheels", nargs=2, metavar=("LIST", "PATTERN"), help="what `pip list --format json` says, and which of these wheels are in it")
    return parser.parse_args()


def part(name, version, purl, **more):
    """A package of the document."""
    return {
        "SPDXID": identifier(purl), "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}], **more,
    }  # fmt: skip


def identifier(purl):
    """What a package is called within the document: two never have one."""
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.]+", "-", purl.removeprefix("pkg:")) + "-" + hashlib.sha256(purl.encode()).hexdigest()[:8]


def distinct(parts):
    """Each once, in an order that does not change."""
    return [each for _, each in sorted({each["SPDXID"]: each for each in parts}.items())]


def closure(program):
    """The crates that a package of the workspace is built of, and which needs which."""
    with open(os.path.join(ROOT, "Cargo.lock"), "rb") as file:
        locked = tomllib.load(file)["package"]
    by_name = {}
    for each in locked:
        by_name.setdefault(each["name"], []).append(each)
    if program not in by_name:
        raise SystemExit(f"error: Cargo.lock has no package {program}")
    built = built_with()
    found, edges, waiting = {}, [], [by_name[program][0]]
    while waiting:
        package = waiting.pop()
        crate = crate_of(package)
        if crate["SPDXID"] in found:
            continue
        found[crate["SPDXID"]] = crate
        for needed in package.get("dependencies", []):
            name, _, version = needed.partition(" ")
            if "source" not in package and name not in built[package["name"]]:
                continue
            (other,) = [each for each in by_name[name] if not version or each["version"] == version.split(" ")[0]]
            waiting.append(other)
            edges.append((crate["SPDXID"], crate_of(other)["SPDXID"]))
    return list(found.values()), edges


def crate_of(package):
    """A package of Cargo.lock."""
    more = {"checksums": [{"algorithm": "SHA256", "checksumValue": package["checksum"]}]} if "checksum" in package else {"licenseDeclared": LICENCE}
    return part(package["name"], package["version"], f"pkg:cargo/{package['name']}@{quoted(package['version'])}", **more)


def built_with():
    """What each package of the workspace names for its program; Cargo.lock has what its tests need as well."""
    built = {}
    for path in glob.glob(os.path.join(ROOT, "*", "*", "Cargo.toml")):
        with open(path, "rb") as file:
            manifest = tomllib.load(file)
        tables = [manifest, *manifest.get("target", {}).values()]
        built[manifest["package"]["name"]] = {name for table in tables for kind in ("dependencies", "build-dependencies") for name in table.get(kind, {})}
    return built


def debian(path):
    """The packages of a status file of dpkg, or of a folder of them."""
    text = ""
    for each in sorted(glob.glob(os.path.join(path, "*"))) if os.path.isdir(path) else [path]:
        with open(each, encoding="utf-8") as file:
            text += file.read() + "\n\n"
    found = []
    for block in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"(?m)^([A-Za-z-]+): (.*)$", block))
        if fields.get("Status", "").endswith(" installed"):
            name, version = fields["Package"], fields["Version"]
            found.append(part(name, version, f"pkg:deb/debian/{quoted(name)}@{quoted(version)}?arch={fields['Architecture']}"))
    if not found:
        raise SystemExit(f"error: {path} has no package that is installed")
    return found


def libtorch():
    """The wheels that setup/catalogue.json takes libtorch from, which are in the image in part."""
    with open(os.path.join(ROOT, "setup", "catalogue.json"), encoding="utf-8") as file:
        entry = json.load(file)["items"]["libtorch"]
    named = [wheel for source in entry["sources"] for wheel in source.get("wheels", [])]
    return [wheel(each["project"], each["version"], comment=f"in part; about: {entry['about']}; licence: {entry['licence']}") for each in named]


def wheels(path, pattern):
    """The wheels of a list that pip has made whose names are of this pattern."""
    with open(path, encoding="utf-8") as file:
        found = [wheel(each["name"], each["version"]) for each in json.load(file) if re.fullmatch(pattern, each["name"])]
    if not found:
        raise SystemExit(f"error: {path} has no wheel of the pattern {pattern}")
    return found


def wheel(name, version, **more):
    """A package of Python's index."""
    return part(name, version, f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{quoted(version)}", **more)


def quoted(text):
    """As package URLs have it."""
    return urllib.parse.quote(text, safe="")


def document(options, parts, edges):
    """The whole of it."""
    name = f"torchmesh-{options.image}"
    image = part(name, options.version, f"pkg:docker/{name}@{quoted(options.version)}", licenseDeclared=LICENCE, primaryPackagePurpose="CONTAINER")
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", image["SPDXID"])]
    relations += [(image["SPDXID"], "CONTAINS", each["SPDXID"]) for each in parts]
    relations += [(one, "DEPENDS_ON", other) for one, other in edges]
    created = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or 0), datetime.timezone.utc)
    whole = {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": name,
        "creationInfo": {"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: torchmesh-images-sbom"]},
        "packages": [image, *parts],
        "relationships": [{"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other} for one, kind, other in relations],
    }  # fmt: skip
    # Another document has another name; the same has the same.
    whole["documentNamespace"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(whole, sort_keys=True))}"
    return whole


if __name__ == "__main__":
    main()

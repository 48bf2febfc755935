"""Python package indexes, found through pip's own configuration.

No address is written down here: pip is asked, so whatever mirror, proxy or certificate it is set up with is used.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Dict, List, Optional, Tuple

from .catalogue import Wheel
from .errors import UNAVAILABLE, FetchError, RangesRefused, Refused
from .web import Web, split_credentials

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True)
class PipSettings:
    """What pip is set up with. `indexes` is empty when pip may not use any (`no-index`)."""

    indexes: List[str]
    ca_file: Optional[str]
    proxy: Optional[str]


def settings() -> PipSettings:
    """Asks pip. Raises `FetchError` when this Python has no pip."""
    values = _parse_config(_pip(["config", "list"]))
    if values.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return PipSettings([], values.get("cert"), values.get("proxy"))
    first = values.get("index-url") or _default_index(_pip(["download", "--help"]))
    extra = values.get("extra-index-url", "").split()
    return PipSettings([url for url in [first, *extra] if url], values.get("cert"), values.get("proxy"))


def find(web: Web, indexes: List[str], wheel: Wheel) -> str:
    """The address of a wheel.

    Raises `RangesRefused` when no index can be read over HTTP (pip may be set up with a folder) or none lists the wheel,
    and `Refused` when an index says no: in both cases pip itself may still know a way.
    """
    remote = [index for index in indexes if urllib.parse.urlsplit(index).scheme in ("http", "https")]
    problem: Exception = RangesRefused("pip has no HTTP index")
    for index in remote:
        page = f"{index.rstrip('/')}/{wheel.project}/"
        try:
            body, content_type, final = web.read(page, {"Accept": _ACCEPT})
        except Refused as error:
            problem = error
            continue
        links = _links(body, content_type)
        if wheel.file in links:
            return _with_credentials(urllib.parse.urljoin(final, links[wheel.file]), page)
        problem = RangesRefused(f"the index does not list {wheel.file}")
    raise problem


def download_whole(wheel: Wheel, path: str) -> None:
    """Has pip download the whole wheel to `path`. pip's own messages go to standard error."""
    quiet = [] if sys.stderr.isatty() else ["--quiet", "--progress-bar", "off"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", *quiet]
    # pip writes the file in place, so an interrupted run would leave half of it under its final name.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as unfinished:
        command += ["--dest", unfinished, *_tag_options(wheel.file), f"{wheel.project}=={wheel.version}"]
        done = subprocess.run(command, stdout=sys.stderr.fileno(), check=False)
        arrived = os.path.join(unfinished, wheel.file)
        if done.returncode != 0 or not os.path.exists(arrived):
            raise FetchError(
                UNAVAILABLE,
                f"pip could not download {wheel.file}",
                f"see that `python3 -m pip download --no-deps {wheel.project}=={wheel.version}` works, then run this again",
            )
        os.replace(arrived, path)


def _tag_options(file: str) -> List[str]:
    """Options that make pip choose this very wheel, whatever Python runs it."""
    python, abi, platforms = file[: -len(".whl")].split("-")[-3:]
    options = ["--only-binary=:all:"]
    if platforms != "any":
        options += [part for platform in platforms.split(".") for part in ("--platform", platform)]
    match = re.fullmatch(r"cp(\d)(\d+)", python)
    if match:
        options += ["--implementation", "cp", "--python-version", f"{match[1]}.{match[2]}", "--abi", abi]
    return options


def _pip(arguments: List[str]) -> str:
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check"]
    # Help text is folded to the width of the screen, which would break an address.
    done = subprocess.run(command, env={**os.environ, "COLUMNS": "2000"}, capture_output=True, text=True, check=False)
    if "No module named pip" in done.stderr:
        remedy = "install it (Debian and Ubuntu: `apt install python3-pip`; elsewhere `python3 -m ensurepip`)"
        raise FetchError(UNAVAILABLE, f"{sys.executable} has no pip", f"{remedy} and run this again")
    if done.returncode != 0:
        command_line = f"python3 -m pip {' '.join(arguments)}"
        raise FetchError(UNAVAILABLE, f"`{command_line}` fails", "run it yourself and mend what it complains about")
    return done.stdout


def _parse_config(listing: str) -> Dict[str, str]:
    """`pip config list` as one value a setting, the environment first, then the download command's, then the global ones."""
    found: Dict[str, Dict[str, str]] = {}
    for line in listing.splitlines():
        match = re.fullmatch(r"(:env:|[\w-]+)\.([\w-]+)=(.+)", line.strip())
        if match:
            found.setdefault(match[1], {})[match[2].lower()] = str(ast.literal_eval(match[3]))
    return {**found.get("global", {}), **found.get("download", {}), **found.get(":env:", {})}


def _default_index(help_text: str) -> Optional[str]:
    match = re.search(r"--index-url\b.*?\(default\s+(\S+?)\)", help_text, re.DOTALL)
    return match.group(1) if match else None


def _with_credentials(url: str, page: str) -> str:
    """Files on the index's own host need the index's credentials; files elsewhere must not get them."""
    index, target = urllib.parse.urlsplit(page), urllib.parse.urlsplit(url)
    user = index.netloc.rpartition("@")[0]
    same_host = urllib.parse.urlsplit(split_credentials(page)[0]).netloc == target.netloc
    return urllib.parse.urlunsplit(target._replace(netloc=f"{user}@{target.netloc}")) if user and same_host else url


def _links(body: bytes, content_type: str) -> Dict[str, str]:
    """The address of each file on an index page; none when the page is something else than an index page."""
    if "json" in content_type:
        try:
            return {file["filename"]: file["url"] for file in json.loads(body)["files"]}
        except (ValueError, KeyError, TypeError):
            return {}
    parser = _Anchors()
    parser.feed(body.decode("utf-8", "replace"))
    return {_file_name(link): link for link in parser.links}


def _file_name(link: str) -> str:
    return urllib.parse.unquote(urllib.parse.urlsplit(link).path.rsplit("/", 1)[-1])


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: List[str] = []

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        self.links += [value for key, value in attrs if tag == "a" and key == "href" and value]

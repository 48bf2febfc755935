#!/usr/bin/env python3
"""Stands in for a service of the mesh: takes the same flags, announces itself, answers /ready, ends at SIGTERM.

FAKE_<SERVICE> changes what it does, as words: `exit64` and `crash` end it at the start, `deaf` never gets ready, `slow` takes a second over
SIGTERM, `stubborn` ignores SIGTERM, `unchecked` refuses --check. Every event is a line in the file that FAKE_STORY names.
"""

import json
import os
import pathlib
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVICE = pathlib.Path(sys.argv[0]).name.removeprefix("torchmesh-")
WORDS = os.environ.get(f"FAKE_{SERVICE.upper()}", "").split()


def flag(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


def setting(key, default):
    """A setting as the real services find it: flags, then environment, then file; only the forms that meshctl writes."""
    for at, word in enumerate(sys.argv):
        if word == "--set" and sys.argv[at + 1].startswith(f"{key}="):
            return sys.argv[at + 1].split("=", 1)[1]
    fallback = default
    for line in pathlib.Path(flag("--config")).read_text().splitlines():
        if line.startswith(f"{key} = "):
            fallback = line.split(" = ", 1)[1].strip('"')
    return os.environ.get(f"TORCHMESH_{SERVICE.upper()}_{key.upper()}", fallback)


def tell(what):
    print(f"{SERVICE} {what}", flush=True)
    if "FAKE_STORY" in os.environ:
        with open(os.environ["FAKE_STORY"], "a") as story:
            story.write(f"{SERVICE} {what}\n")


class Ready(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self):
        self.send_response(503 if "deaf" in WORDS else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


def listen(key):
    host, port = setting(key, "127.0.0.1:0").rsplit(":", 1)
    server = ThreadingHTTPServer((host, int(port)), Ready)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"{host}:{server.server_address[1]}"


def main():
    if "--check" in sys.argv:
        if "unchecked" in WORDS:
            sys.exit(f"torchmesh-{SERVICE}: 1 mistake in the configuration\n  threads: must be a whole number")
        return
    if "exit64" in WORDS:
        print("a setting is wrong", flush=True)
        sys.exit(64)
    if "crash" in WORDS:
        sys.exit("it does not work")
    done = threading.Event()

    def terminated(*_):
        tell("terminated")
        if "stubborn" not in WORDS:
            done.set()

    signal.signal(signal.SIGTERM, terminated)
    addresses = {"main": listen("addr"), "admin": listen("admin_addr")}
    announcement = {"service": SERVICE, "pid": os.getpid(), "addresses": addresses}
    draft = pathlib.Path(flag("--announce") + ".draft")
    draft.write_text(json.dumps(announcement))
    draft.rename(flag("--announce"))
    tell("listens")
    done.wait()
    if "slow" in WORDS:
        time.sleep(1)
    tell("ended")


main()

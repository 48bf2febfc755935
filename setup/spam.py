#!/usr/bin/env python3
"""Writes the e-mails of the item spam-assassin as labelled texts, one JSON object a line: what `torchmesh-worker train-head` reads.

    python3 setup/spam.py ~/.cache/torchmesh/data/spam-assassin/package.tgz texts.jsonl

Of each e-mail the subject and the beginning of the text are taken, without HTML; of all e-mails, 2,000 that their numbers choose, so that training takes
seconds. The same archive gives the same file.
"""

from __future__ import annotations

import argparse
import email
import email.policy
import hashlib
import html
import json
import os
import re
import sys
import tarfile
from typing import Iterator, List, Tuple

WANTED = 2000
# More than a model reads of it; an e-mail may be megabytes.
CHARACTERS = 1000
GROUPS = {"easy-ham-1": "ham", "easy-ham-2": "ham", "hard-ham-1": "ham", "spam-1": "spam", "spam-2": "spam"}


def main(arguments: List[str]) -> int:
    """Runs the command line; answers the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", help="package.tgz of the item spam-assassin")
    parser.add_argument("out", help="the file to write")
    options = parser.parse_args(arguments)
    chosen = sorted(messages(options.archive))[:WANTED]
    lines = [json.dumps({"text": said, "label": label}) for said, label in ((text_of(raw), label) for _, label, raw in chosen) if said]
    draft = f"{options.out}.draft"
    with open(draft, "w", encoding="utf-8") as handle:
        handle.write("".join(f"{line}\n" for line in lines))
    os.replace(draft, options.out)
    print(f"{options.out}: {len(lines)} texts")
    return 0


def messages(archive: str) -> Iterator[Tuple[str, str, bytes]]:
    """Every e-mail: what it is sorted by, its label, and itself."""
    with tarfile.open(archive, "r:gz") as package:
        for member in package:
            parts = member.name.split("/")
            group = parts[-2] if len(parts) > 1 else ""
            handle = package.extractfile(member) if group in GROUPS and member.name.endswith(".txt") else None
            if handle:
                yield hashlib.sha256(f"{group}/{parts[-1]}".encode()).hexdigest(), GROUPS[group], handle.read()


def text_of(raw: bytes) -> str:
    """Subject and text in one line. What cannot be decoded is left out."""
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    subject = re.sub(r"=\?[^?]*\?[bqBQ]\?([^?]*)\?=", r"\1", str(message.get("Subject", "")))
    for part in message.walk():
        if part.get_content_maintype() != "text":
            continue
        body = (part.get_payload(decode=True) or b"").decode("utf-8", errors="replace")
        return " ".join(f"{subject}. {plain(body)}".split())[:CHARACTERS]
    return " ".join(subject.split())[:CHARACTERS]


def plain(body: str) -> str:
    """The text without tags, styles, scripts and comments."""
    body = re.sub(r"(?is)<(style|script)\b.*?</\1>|<!--.*?-->|<[^>]{1,2000}>", " ", body[: CHARACTERS * 20])
    return html.unescape(body)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

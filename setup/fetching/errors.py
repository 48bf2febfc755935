"""Every way a fetch can fail, each with the exit code that `fetch.py --help` documents."""

from __future__ import annotations

USAGE = 64
BAD_DATA = 65
UNAVAILABLE = 69
CANNOT_WRITE = 73
WRONG_SETTING = 78
INTERRUPTED = 130


class FetchError(Exception):
    """A failure that a person can act on: what happened, what to do about it, and the exit code of the process."""

    def __init__(self, code: int, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem
        self.remedy = remedy


class Refused(FetchError):
    """The server was reached and said no (a 4xx answer, an untrusted certificate): asking again will not help."""


class RangesRefused(Exception):
    """The server answers whole files only, or there is no HTTP server at all: the caller takes another way."""

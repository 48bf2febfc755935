"""What a person sees while waiting: a bar on a terminal, a plain line elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import time

_REDRAW_S = 0.1
_BAR = 24


class Progress:
    """Counts the bytes of one item and shows them on standard error."""

    def __init__(self, title: str) -> None:
        self.bytes = 0
        self._title, self._expected = title, 0
        self._started = time.monotonic()
        # The speed shown is that of the download alone, so it is reckoned from when the first size was known.
        self._since, self._bytes_before = self._started, 0
        self._drawn = 0.0
        self._terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._terminal and not os.environ.get("NO_COLOR")

    def expect(self, missing: int) -> None:
        """Says how many bytes are still to come, in addition to those that came already."""
        if not self._expected and not self._terminal and missing:
            self.say(f"downloading {megabytes(missing)}")
        self._since, self._bytes_before = time.monotonic(), self.bytes
        self._expected = self.bytes + missing

    def add(self, count: int) -> None:
        """Counts bytes that have arrived."""
        self.bytes += count
        now = time.monotonic()
        if self._terminal and self._expected and now - self._drawn >= _REDRAW_S:
            self._drawn = now
            self._draw(now)

    def say(self, message: str) -> None:
        """One plain line about this item."""
        self.clear()
        print(f"{self._title}: {message}", file=sys.stderr, flush=True)

    def show(self, message: str) -> None:
        """Something worth showing while it lasts, on a terminal only."""
        if self._terminal:
            self.clear()
            self._drawn = time.monotonic()
            sys.stderr.write(f"{self._title}: {message} ...")
            sys.stderr.flush()

    def clear(self) -> None:
        """Takes the bar off the screen."""
        if self._drawn:
            self._drawn = 0.0
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def seconds(self) -> float:
        """How long this item has taken so far."""
        return time.monotonic() - self._started

    def _draw(self, now: float) -> None:
        share = min(1.0, self.bytes / self._expected)
        rate = (self.bytes - self._bytes_before) / max(now - self._since, 0.001)
        left = max(0, self._expected - self.bytes) / max(rate, 1)
        full = int(share * _BAR)
        bar = "█" * full + "░" * (_BAR - full)
        amount = f"{megabytes(self.bytes)} of {megabytes(self._expected)}"
        text = f"{self._title} {bar} {share:4.0%}  {amount}  {megabytes(int(rate))}/s  {left:.0f} s left"
        text = text[: shutil.get_terminal_size().columns - 1]
        if self._colour:
            text = text.replace(bar, f"\x1b[32m{bar}\x1b[0m")
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def megabytes(count: int) -> str:
    """A number of bytes for people: megabytes, or kilobytes when there are few."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"

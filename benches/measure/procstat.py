"""What processes have cost, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Iterable, Iterator

_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


def cpu_us(leader: int) -> float:
    """User and system time in microseconds of a process and of those that it started: all their threads, ended ones too."""
    return sum(map(_cpu_us_of, _session(leader, "stat")))


def _session(leader: int, file: str) -> Iterator[str]:
    """What a file in /proc says of each process of a session; every process that a measurement starts leads one."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if _session_of((folder / "stat").read_text()) == leader:
                    yield (folder / file).read_text()
            except OSError:
                continue  # It has ended since the folder was listed.


def _session_of(stat: str) -> int:
    return int(stat.rpartition(")")[2].split()[3])


def _cpu_us_of(stat: str) -> float:
    # Counted from the last bracket: the process' own name comes before it and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_US


def peak_mb(leader: int) -> float:
    """The most memory that a process and those that it started have had resident, in MB, the peaks of all of them added up."""
    return sum(_mb_of(status, "VmHWM") for status in _session(leader, "status"))


def resident_mb(leader: int) -> float:
    """The memory that a process and those that it started have resident now, in MB."""
    return sum(_mb_of(status, "VmRSS") for status in _session(leader, "status"))


def _mb_of(status: str, field: str) -> float:
    for line in status.splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def machine_us() -> float:
    """What everything on this machine has cost so far, in microseconds of one core: user, nice, system and interrupts."""
    return _machine_us_of(Path("/proc/stat").read_text())


def _machine_us_of(stat: str) -> float:
    user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in stat.splitlines()[0].split()[1:8])
    return (user + nice + system + irq + softirq) * _TICK_US


class Meter:
    """Reads the cost of some processes, and of the rest of the machine, between its start and `read`."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._before: Dict[int, float] = {pid: cpu_us(pid) for pid in pids}
        self._machine = machine_us()

    def read(self) -> Dict[int, float]:
        """Microseconds of each process since the start."""
        return {pid: cpu_us(pid) - before for pid, before in self._before.items()}

    def others(self, known_us: float) -> float:
        """Microseconds since the start that went to processes other than those that cost `known_us` together."""
        return max(0.0, machine_us() - self._machine - known_us)

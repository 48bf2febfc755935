"""What processes have cost, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, Iterable

_TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


def cpu_us(pid: int) -> float:
    """User and system time of a process in microseconds: all its threads, ended ones too."""
    return _cpu_us_of(Path(f"/proc/{pid}/stat").read_text())


def _cpu_us_of(stat: str) -> float:
    # Counted from the last bracket: the process' own name comes before it and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_US


def peak_mb(pid: int) -> float:
    """The most memory that a process has had resident, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
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

"""Suite "soak": what a hop adds to the slowest calls under a load that leaves room, and what a million calls leave in the gateway's memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Optional, Tuple, Union

from . import load, shell
from . import mesh as ours
from .procstat import resident_mb
from .rounds import Plan, say
from .system import Absent, Stage, System

# Of what a system bears with callers in a closed loop.
SHARE = 0.7
CALLERS = 64
# An open loop has as many calls in flight as there are; whoever cannot keep up shows by calls that this leaves unsent.
MOST_IN_FLIGHT = 2000
# The loads, by whose measure they are.
OF_UPSTREAM, OF_SLOWEST = "of what the upstream alone bears", "of what the slowest row bears"
LOADS = (OF_UPSTREAM, OF_SLOWEST)
# Steps in which the calls are made whose memory is watched; one more goes ahead of them, in which every pool is filled.
STEPS = 10
# How far resident memory may have risen from the first step to the last.
NOISE_MB = 10

Row = Union[System, Absent]


@dataclass(frozen=True)
class Offered:
    """What became of a load that does not wait for answers: rates are a second."""

    rate: float
    answered: float
    p50_ms: float
    p99_ms: float
    errors: Dict[str, int] = field(default_factory=dict)


@dataclass
class Memory:
    """Resident memory of a gateway in MB: before any call, after the calls that fill its pools, and after each of the steps that follow."""

    before: float
    filled: float
    after: List[float] = field(default_factory=list)
    calls: int = 0
    errors: Dict[str, int] = field(default_factory=dict)

    @property
    def grown(self) -> float:
        """From filled pools to the last call."""
        return self.after[-1] - self.filled


@dataclass
class Soaked:
    """What the suite found: by row, and by load and row, a figure for each round."""

    rows: List[Row]
    bears: Dict[str, List[float]] = field(default_factory=dict)
    offered: Dict[Tuple[str, str], List[Offered]] = field(default_factory=dict)
    memory: Optional[Memory] = None

    def added_ms(self, load_of: str, name: str) -> List[float]:
        """What a row adds to the p99 of the upstream alone, round by round."""
        pairs = zip(self.offered.get((load_of, name), []), self.offered.get((load_of, shell.UPSTREAM), []))
        return [behind.p99_ms - alone.p99_ms for behind, alone in pairs]

    def flat(self) -> Dict[str, Any]:
        """Everything, for JSON."""
        offered = [{"load": of, "system": name, "rounds": [asdict(each) for each in told]} for (of, name), told in self.offered.items()]
        return {"bears": self.bears, "offered": offered, "memory": asdict(self.memory) if self.memory else None}


def missing() -> Optional[str]:
    """Why this suite cannot run here; None when it can."""
    return ours.missing("gateway")


def run(stage: Stage, plan: Plan, calls: int) -> Soaked:
    """Measures latencies round by round, and then the memory of the gateway with every policy on."""
    mesh = ours.Mesh(stage)
    upstream, hops = shell.with_hops(stage, mesh, mesh.upstream())
    soaked = Soaked([load.ready(row) for row in (upstream, *hops)])
    systems = [row for row in soaked.rows if isinstance(row, System)]
    for number in range(plan.rounds):
        _round(systems if number % 2 == 0 else systems[::-1], plan, number, soaked)
    gateway = next(system for system in systems if system.name == shell.POLICIES)
    soaked.memory = _memory(gateway, plan.connections, calls)
    say("")
    return soaked


def _round(systems: List[System], plan: Plan, number: int, soaked: Soaked) -> None:
    bears = {}
    for system in systems:
        say(f"closed loop, round {number + 1} of {plan.rounds}: {system.name}")
        bears[system.name] = _bears(system, plan)
        soaked.bears.setdefault(system.name, []).append(bears[system.name])
    for load_of, rate in zip(LOADS, rates(bears)):
        for system in systems:
            say(f"{SHARE:.0%} {load_of}, round {number + 1} of {plan.rounds}: {system.name}")
            soaked.offered.setdefault((load_of, system.name), []).append(_offer(system, plan, rate, number))


def rates(bears: Dict[str, float]) -> Tuple[float, float]:
    """What is offered to every row, in the order of `LOADS`, by what each of them bears."""
    return SHARE * bears[shell.UPSTREAM], SHARE * min(bears.values())


def _bears(system: System, plan: Plan) -> float:
    closed = ["--callers", CALLERS, "--connections", plan.connections]
    load.run(system, [*closed, "--seconds", min(0.5, plan.seconds)])
    report = load.run(system, [*closed, "--seconds", plan.seconds])
    if not report["ok"]:
        raise load.LoadError(f"{system.name} answers nothing: {report['errors']} {report['examples']}")
    return float(report["rps"])


def _offer(system: System, plan: Plan, rate: float, number: int) -> Offered:
    # The same moments for every row of a round.
    open_loop = ["--rate", rate, "--poisson", number, "--callers", MOST_IN_FLIGHT, "--connections", plan.connections]
    report = load.run(system, [*open_loop, "--seconds", plan.seconds])
    return offered(report, rate)


def offered(report: Dict[str, Any], rate: float) -> Offered:
    """What the loader's report says of it."""
    latency = report["latency_ms"]
    return Offered(rate, report["rps"], latency["p50"], latency["p99"], report["errors"])


def _memory(gateway: System, connections: int, calls: int) -> Memory:
    process = gateway.processes["gateway"]
    step = max(1, calls // STEPS)
    memory = Memory(before=resident_mb(process.pid), filled=0.0)
    for number in range(STEPS + 1):
        say(f"{number * step:,} of {calls:,} calls")
        report = load.run(gateway, ["--callers", CALLERS, "--connections", connections, "--requests", step, "--seconds", 3600])
        for kind, count in report["errors"].items():
            memory.errors[kind] = memory.errors.get(kind, 0) + count
        if number == 0:
            memory.filled = resident_mb(process.pid)
            continue
        memory.after.append(resident_mb(process.pid))
        memory.calls += report["requests"]
    return memory

"""Suite "overload": how many answers still come in time when more is asked than the model can do, and who gets them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from . import encoders, load, places
from . import mesh as ours
from .dialects import MODEL
from .process import Process
from .rounds import Plan, say
from .system import Stage, System

DEADLINE_MS = 500
OTHER_DEADLINES_MS = (250, 1000)
# What is offered, as multiples of what callers in a closed loop get.
LOADS = (0.5, 1.0, 1.5, 2.0, 3.0)
FLOOD = LOADS[-1]
QUIET = 0.2
# Of the best goodput that a round shows at a deadline, what must be left at any load above 1.
AT_LEAST = 0.9
CALLERS = 64
# An open loop has as many calls in flight as there are; this only bounds the loader's memory.
MOST_IN_FLIGHT = 20_000
TENANTS = ("crowd", "quiet")
missing = encoders.missing


# The same text in every call: what varies is how many there are.
SEQUENCE = 32
WORKER, MESH = "worker, TorchScript", "gateway -> router -> worker, TorchScript"
LOAD = [
    *("--model", MODEL),
    *("--tensor", f"input_ids:INT64:1x{SEQUENCE}:2000..{2000 + SEQUENCE}"),
    *("--tensor", f"attention_mask:INT64:1x{SEQUENCE}:1"),
]


class Apart(Stage):
    """A stage whose workers have one core, and everything else the others."""

    def start(self, name: str, command: Sequence[object], env: Optional[Dict[str, str]] = None, *, aside: bool = False) -> Process:
        """Starts a process that ends with the stage."""
        return super().start(name, command, env, aside=not name.startswith("worker"))


@dataclass(frozen=True)
class Stream:
    """Calls of one kind: how many, as a multiple of what saturates the worker, and what the loader is told besides."""

    name: str
    times: float
    arguments: Tuple[str, ...] = ()
    deadline_ms: int = DEADLINE_MS


@dataclass(frozen=True)
class Outcome:
    """What became of a stream: shares are of the calls offered, rates are a second."""

    offered: float
    good: float
    refused: float
    given_up: float
    late: float
    failed: float
    p50_ms: float
    p99_ms: float
    refusal_p99_ms: float

    @property
    def answered(self) -> float:
        """The share that was answered in time."""
        return max(0.0, 1.0 - self.refused - self.given_up - self.late - self.failed)


# Which mix, and which of its streams.
Key = Tuple[str, str]
CLOSED: Key = ("closed loop", f"{CALLERS} callers")


@dataclass
class Measured:
    """The outcomes of one system by what was measured, one a round."""

    name: str
    outcomes: Dict[Key, List[Outcome]] = field(default_factory=dict)

    def shares(self, of: Key) -> List[float]:
        """Goodput against the best of its round among the loads of one stream with the same deadline."""
        alike = [told for (mix, stream), told in self.outcomes.items() if not stream and _deadline(mix) == _deadline(of[0])]
        return [outcome.good / max(best.good for best in peak) for outcome, *peak in zip(self.outcomes[of], *alike)]

    def together(self, mix: str) -> List[float]:
        """The shares of all streams of a mix, added up."""
        return [sum(shares) for shares in zip(*(self.shares(of) for of in self.outcomes if of[0] == mix))]

    def flat(self) -> Dict[str, Any]:
        """Everything, for JSON."""
        rows = [{"offered": of, "rounds": [asdict(outcome) for outcome in told]} for of, told in self.outcomes.items()]
        return {"system": self.name, "rows": rows}


def _deadline(mix: str) -> str:
    return mix.partition(", ")[2]


def run(stage: Stage, plan: Plan) -> List[Measured]:
    """Measures a worker alone, and one behind gateway and router."""
    systems = _systems(ours.Mesh(Apart(stage.folder, places.ONE_CORE, places.OTHER_CORES, stage.started)))
    for system, tenants in systems:
        load.wait_until_it_answers(_asked(system, tenants[0]))
    results = [Measured(system.name) for system, _ in systems]
    for number in range(plan.rounds):
        for (system, tenants), measured in zip(systems, results):
            _round(system, tenants, plan, number, measured)
    say("")
    return results


Tenants = Sequence[Tuple[str, ...]]


def _systems(mesh: ours.Mesh) -> List[Tuple[System, Tenants]]:
    """Each system, and what the loader says in it to be one tenant or the other."""
    models = places.mesh_home() / "models"
    named = [("--header", f"x-torchmesh-tenant: {tenant}") for tenant in TENANTS]
    alone = mesh.worker("worker-alone", models)
    return [(System(WORKER, {"worker": alone.process}, alone.address, loader_cores=places.OTHER_CORES), named), _whole(mesh, models)]


def _whole(mesh: ours.Mesh, models: Path) -> Tuple[System, Tenants]:
    worker = mesh.worker("worker-of-mesh", models)
    router = mesh.router("router", worker.address)
    gateway, keys = mesh.gateway("gateway", router.address, TENANTS)
    roles = {"gateway": gateway.process, "router": router.process, "worker": worker.process}
    return System(MESH, roles, gateway.address, loader_cores=places.OTHER_CORES), [tuple(key) for key in keys]


def _asked(system: System, arguments: Sequence[str]) -> System:
    """The system as it is asked for the model by whom the arguments say."""
    return replace(system, load=[*LOAD, *arguments])


def mixes(tenants: Tenants) -> Iterator[Tuple[str, List[Stream]]]:
    """What is offered together: loads that rise, other deadlines, two classes, two tenants."""
    crowd, quiet = tenants
    for times in LOADS:
        yield f"{times:g}x", [Stream("", times, crowd)]
    for deadline in OTHER_DEADLINES_MS:
        for times in (1.0, FLOOD):
            yield f"{times:g}x, {deadline} ms", [Stream("", times, crowd, deadline)]
    high = Stream("high", QUIET, (*crowd, *_priority("high")))
    yield "alone", [high]
    yield "classes", [high, Stream("low", FLOOD, (*crowd, *_priority("low")))]
    yield "tenants", [Stream(TENANTS[1], QUIET, quiet), Stream(TENANTS[0], FLOOD, crowd)]


def _priority(name: str) -> Tuple[str, str]:
    return "--header", f"x-torchmesh-priority: {name}"


def _round(system: System, tenants: Tenants, plan: Plan, number: int, measured: Measured) -> None:
    say(f"{system.name}, round {number + 1} of {plan.rounds}")
    anyone, closed = _asked(system, tenants[0]), ["--callers", CALLERS, "--connections", plan.connections]
    load.run(anyone, [*closed, "--seconds", min(1, plan.seconds)])
    report = load.run(anyone, [*closed, "--seconds", plan.seconds])
    saturating = report["rps"]
    if not saturating:
        raise load.LoadError(f"{system.name} answers nothing: {report['errors']} {report['examples']}")
    of_round = {CLOSED: outcome(report, plan.seconds)}
    for name, streams in mixes(tenants):
        say(f"{system.name}, round {number + 1} of {plan.rounds}: {name}")
        for stream, told in zip(streams, _offer(system, streams, saturating, plan, number)):
            of_round[name, stream.name] = told
    for key, told in of_round.items():
        measured.outcomes.setdefault(key, []).append(told)


def _offer(system: System, streams: Sequence[Stream], saturating: float, plan: Plan, number: int) -> List[Outcome]:
    """Runs the streams at the same time, each by a loader of its own."""

    def one(index: int) -> Outcome:
        stream = streams[index]
        open_loop = ["--rate", stream.times * saturating, "--poisson", 100 * number + index, "--callers", MOST_IN_FLIGHT]
        rest = ["--connections", plan.connections, "--deadline-ms", stream.deadline_ms, "--seconds", plan.seconds]
        return outcome(load.run(_asked(system, stream.arguments), [*open_loop, *rest]), plan.seconds)

    with ThreadPoolExecutor(len(streams)) as pool:
        return list(pool.map(one, range(len(streams))))


def outcome(report: Dict[str, Any], seconds: float) -> Outcome:
    """What the loader's report says of a stream that was offered for so many seconds. The last answers come after that, and their time counts."""
    errors, requests = dict(report["errors"]), max(1, report["requests"])
    refused, given_up, late = (errors.pop(kind, 0) for kind in ("RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "late"))
    told = report["error_latency_ms"].get("RESOURCE_EXHAUSTED", {"p99": 0.0})
    return Outcome(
        offered=report["requests"] / seconds,
        good=report["rps"],
        refused=refused / requests,
        given_up=given_up / requests,
        late=late / requests,
        failed=sum(errors.values()) / requests,
        p50_ms=report["latency_ms"]["p50"],
        p99_ms=report["latency_ms"]["p99"],
        refusal_p99_ms=told["p99"],
    )

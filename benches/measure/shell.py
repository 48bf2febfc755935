"""Suite "shell": what everything but the model costs, with a model that does nothing and calls of one kilobyte."""

from __future__ import annotations

from typing import List, Union

from . import mesh as ours
from . import peers
from .load import wait_until_it_answers
from .process import StartError
from .rounds import Plan, Ratio, Results, take
from .system import Absent, Stage, System

UPSTREAM = "upstream alone"
GATEWAY = "gateway -> upstream"
POLICIES = "gateway, every policy -> upstream"
ROUTER = "router -> upstream"
WORKER = "worker"
MESH = "gateway -> router -> worker"
# What a worker may cost at WORKER_CALLERS callers, microseconds a request: mosec, the leanest of the peers, takes that.
WORKER_AT_MOST, WORKER_CALLERS = 36.0, 64

Row = Union[System, Absent]


def run(stage: Stage, plan: Plan) -> Results:
    """Starts everything that is here, and measures it."""
    return take([_ready(row) for row in _start(stage)], plan)


def ratios(results: Results) -> List[Ratio]:
    """Which figures are set against which."""
    envoy, haproxy, cheapest, batching = (_named(results, word) for word in ("Envoy", "HAProxy", "no batching", "dynamic batching"))
    return [
        Ratio((GATEWAY, "gateway"), (envoy, "envoy"), at_most=1.0),
        Ratio((ROUTER, "router"), (envoy, "envoy"), at_most=1.0),
        Ratio((POLICIES, "gateway"), (envoy, "envoy"), at_most=1.25),
        Ratio((GATEWAY, "gateway"), (haproxy, "haproxy")),
        Ratio((ROUTER, "router"), (haproxy, "haproxy")),
        Ratio((MESH, None), (batching, None), at_most=1.0),
        Ratio((MESH, None), (cheapest, None), at_most=1.0),
    ]


def _ready(row: Row) -> Row:
    """The row, once it answers."""
    if isinstance(row, System):
        try:
            wait_until_it_answers(row)
        except StartError as error:
            if not row.is_peer:
                raise
            return Absent(row.name, "does not run here: " + str(error).splitlines()[-1].strip())
    return row


def _named(results: Results, word: str) -> str:
    return next((row.name for row in results.rows if word in row.name), word)


def _start(stage: Stage) -> List[Row]:
    mesh = ours.Mesh(stage)
    echo = mesh.upstream()
    upstream = System(UPSTREAM, {"upstream": echo.process}, echo.address)
    return [
        upstream,
        peers.envoy(stage, upstream),
        peers.haproxy(stage, upstream),
        peers.nginx(stage, upstream),
        _gateway(mesh, echo),
        _policies(mesh, echo),
        _router(mesh, echo),
        _worker(mesh),
        _whole(mesh),
        peers.triton(stage, batching=False),
        peers.triton(stage, batching=True),
    ]


def _gateway(mesh: ours.Mesh, echo: ours.Service) -> Row:
    absent = ours.missing("gateway")
    if absent:
        return Absent(GATEWAY, absent)
    gateway, (let_in,) = mesh.gateway("gateway-alone", echo.address)
    return System(GATEWAY, {"gateway": gateway.process, "upstream": echo.process}, gateway.address, let_in)


def _policies(mesh: ours.Mesh, echo: ours.Service) -> Row:
    absent = ours.missing("gateway")
    if absent:
        return Absent(POLICIES, absent)
    gateway, (let_in,) = mesh.gateway("gateway-policies", echo.address, every_policy=True)
    return System(POLICIES, {"gateway": gateway.process, "upstream": echo.process}, gateway.address, let_in)


def _router(mesh: ours.Mesh, echo: ours.Service) -> Row:
    absent = ours.missing("router")
    if absent:
        return Absent(ROUTER, absent)
    router = mesh.router("router-alone", echo.address)
    return System(ROUTER, {"router": router.process, "upstream": echo.process}, router.address)


def _worker(mesh: ours.Mesh) -> Row:
    absent = ours.missing("worker")
    return Absent(WORKER, absent) if absent else ours.worker_alone(mesh, WORKER, mesh.noop_models(), [])


def _whole(mesh: ours.Mesh) -> Row:
    absent = ours.missing(*ours.SERVICES)
    return Absent(MESH, absent) if absent else ours.whole(mesh, MESH, mesh.noop_models(), [])

"""Suite "shell": what everything but the model costs, with a model that does nothing and calls of one kilobyte."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, List, Optional, Tuple, Union

from . import mesh as ours
from . import peers, tls
from .load import ready
from .rounds import Plan, Ratio, Results, take
from .system import Absent, Stage, System

UPSTREAM = "upstream alone"
GATEWAY = "gateway -> upstream"
POLICIES = "gateway, every policy -> upstream"
POLICIES_TLS = f"gateway, every policy,{peers.WITH_TLS} -> upstream"
ROUTER = "router -> upstream"
ROUTES = "router, every policy -> upstream"
WORKER = "worker"
MESH = "gateway -> router -> worker"
# What a worker may cost at WORKER_CALLERS callers, microseconds a request: mosec, the leanest of the peers, takes that.
WORKER_AT_MOST, WORKER_CALLERS = 36.0, 64

Row = Union[System, Absent]


def run(stage: Stage, plan: Plan) -> Results:
    """Starts everything that is here, and measures it."""
    return take([ready(row) for row in _start(stage)], plan)


def ratios(results: Results) -> List[Ratio]:
    """Which figures are set against which."""
    envoy, haproxy, nginx, cheapest, batching = (_named(results, word) for word in ("Envoy", "HAProxy", "nginx", "no batching", "dynamic batching"))
    proxies = ((envoy, "envoy"), (haproxy, "haproxy"), (nginx, "nginx"))
    tls = [(_named(results, role, peers.WITH_TLS), role) for role in ("Envoy", "HAProxy", "nginx")]
    return [
        Ratio((GATEWAY, "gateway"), (envoy, "envoy"), at_most=1.0),
        Ratio((ROUTER, "router"), (envoy, "envoy"), at_most=1.0),
        Ratio((ROUTES, "router"), (envoy, "envoy"), at_most=1.1, name="router, every policy / envoy"),
        Ratio((POLICIES, "gateway"), (envoy, "envoy"), at_most=1.25, name="every policy / envoy"),
        *(Ratio((GATEWAY, "gateway"), proxy) for proxy in proxies[1:]),
        *(Ratio((ROUTER, "router"), proxy) for proxy in proxies[1:]),
        *(Ratio((POLICIES, "gateway"), proxy, name=f"every policy / {proxy[1]}") for proxy in proxies[1:]),
        *(_through_tls(row, name.lower(), 1.25 if name == "Envoy" else None) for row, name in tls),
        Ratio((MESH, None), (batching, None), at_most=1.0),
        Ratio((MESH, None), (cheapest, None), at_most=1.0),
    ]


def _through_tls(row: str, role: str, at_most: Optional[float]) -> Ratio:
    return Ratio((POLICIES_TLS, "gateway"), (row, role), at_most=at_most, name=f"every policy with TLS / {role} with TLS")


def _named(results: Results, *words: str) -> str:
    """The first row whose name has these words; those without TLS come first."""
    return next((row.name for row in results.rows if all(word in row.name for word in words)), " ".join(words))


def _start(stage: Stage) -> List[Row]:
    mesh = ours.Mesh(stage)
    echo = mesh.upstream()
    upstream, hops = with_hops(stage, mesh, echo)
    return [
        upstream,
        *hops,
        _router(mesh, echo),
        _router(mesh, echo, every_policy=True),
        *_with_tls(stage, mesh, upstream, echo),
        _worker(mesh),
        _whole(mesh),
        peers.triton(stage, batching=False),
        peers.triton(stage, batching=True),
    ]


def with_hops(stage: Stage, mesh: ours.Mesh, echo: ours.Service) -> Tuple[System, List[Row]]:
    """An upstream alone, and behind each of the proxies and gateways."""
    upstream = System(UPSTREAM, {"upstream": echo.process}, echo.address)
    proxies = (proxy(stage, upstream) for proxy in (peers.envoy, peers.haproxy, peers.nginx))
    return upstream, [*proxies, _gateway(mesh, echo), _policies(mesh, echo)]


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


def _with_tls(stage: Stage, mesh: ours.Mesh, upstream: System, echo: ours.Service) -> Iterator[Row]:
    absent = tls.missing()
    if absent:
        yield from (Absent(f"{name}{peers.WITH_TLS} -> upstream", absent) for name in ("Envoy", "HAProxy", "nginx"))
        yield Absent(POLICIES_TLS, absent)
        return
    front = tls.front(stage.folder, upstream)
    for proxy in (peers.envoy, peers.haproxy, peers.nginx):
        yield proxy(stage, upstream, front)
    absent = ours.missing("gateway")
    if absent:
        yield Absent(POLICIES_TLS, absent)
        return
    gateway, ((_, header_file),) = mesh.gateway("gateway-tls", echo.address, every_policy=True, certificate=front.certificate)
    ask = tls.with_key(front.ask, Path(header_file))
    yield System(POLICIES_TLS, {"gateway": gateway.process, "upstream": echo.process}, gateway.address, ask=ask)


def _router(mesh: ours.Mesh, echo: ours.Service, *, every_policy: bool = False) -> Row:
    name, folder = (ROUTES, "router-policies") if every_policy else (ROUTER, "router-alone")
    absent = ours.missing("router")
    if absent:
        return Absent(name, absent)
    router = mesh.router(folder, echo.address, every_policy=every_policy)
    return System(name, {"router": router.process, "upstream": echo.process}, router.address)


def _worker(mesh: ours.Mesh) -> Row:
    absent = ours.missing("worker")
    return Absent(WORKER, absent) if absent else ours.worker_alone(mesh, WORKER, mesh.noop_models(), [])


def _whole(mesh: ours.Mesh) -> Row:
    absent = ours.missing(*ours.SERVICES)
    return Absent(MESH, absent) if absent else ours.whole(mesh, MESH, mesh.noop_models(), [])

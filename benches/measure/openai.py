"""Suite "openai": what the gateway's door in OpenAI's form costs with every policy on, beside routers and a plain proxy in front of the same answers."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Union

from . import chat, h2load, load, peers, places, tls
from . import mesh as ours
from .process import LoadError, Process, StartError, free_port
from .rounds import Plan, Ratio, Results, take
from .system import Absent, Ask, Stage, System

UPSTREAM = "upstream alone"
GATEWAY = "gateway, every policy"
VLLM, SGLANG = "vllm-router 0.1.17", "sglang-router 0.3.2"
ROLES = ("nginx", "vllm-router", "sglang-router")
STREAMING_CALLERS = 64
# How the chunks of different streams lie to each other, and whose streams lie so.
MOMENTS = {"apart": "each stream at moments of its own, as from many workers", "together": "all streams at the same moments, as from the steps of one worker"}

Row = Union[System, Absent]


def missing() -> Optional[str]:
    """Why this suite cannot run here; None when it can."""
    no_upstream = None if peers.nginx_program() else "nginx, which is the upstream, is not installed: `apt-get install nginx-light`"
    return h2load.missing() or no_upstream or ours.missing("gateway")


@dataclass(frozen=True)
class Upstream:
    """What answers: by HTTP for the peers, and by gRPC for the gateway, whose upstreams are routers."""

    process: Process
    http: str
    grpc: str
    ask: Ask

    def port(self) -> str:
        """Of HTTP."""
        return self.http.rpartition(":")[2]

    def row(self, name: str, role: str, process: Process, address: str) -> System:
        """The row of a process in front of it, whose cost is that process' alone."""
        return System(name, {role: process}, address, ask=self.ask, aside=[self.process], is_peer=True)


@dataclass(frozen=True)
class Measured:
    """What the suite found: of answers that come whole, and of streams by their moments."""

    whole: Results
    streams: Dict[str, Results]


def run(stage: Stage, plan: Plan) -> Measured:
    """Starts everything that is here, and measures it."""
    mesh = ours.Mesh(stage)
    streaming = replace(plan, callers=(STREAMING_CALLERS,))
    whole = take(_rows(stage, mesh, _at_once(stage), "whole"), plan)
    return Measured(whole, {moments: take(_rows(stage, mesh, _paced(stage, moments), moments), streaming) for moments in MOMENTS})


def ratios(results: Results) -> List[Ratio]:
    """The gateway against each peer."""
    rows = {role: next((row.name for row in results.rows if row.name.startswith(role)), role) for role in ROLES}
    leanest = {"vllm-router": 1.0}
    return [Ratio((GATEWAY, "gateway"), (row, role), at_most=leanest.get(role), name=f"gateway, every policy / {role}") for role, row in rows.items()]


def _rows(stage: Stage, mesh: ours.Mesh, upstream: Upstream, kind: str) -> List[Row]:
    return [_ready(row) for row in _start(stage, mesh, upstream, kind)]


def _ready(row: Row) -> Row:
    """The row, once it gives the answer that its upstream wrote."""
    row = load.ready(row)
    if isinstance(row, System) and row.ask:
        try:
            return replace(row, ask=replace(row.ask, answer_bytes=chat.look(row)))
        except (LoadError, OSError) as error:
            if not row.is_peer:
                raise StartError(str(error)) from error
            return Absent(row.name, f"does not run here: {error}")
    return row


def _at_once(stage: Stage) -> Upstream:
    """nginx, with one answer for everybody."""
    folder = peers.folder_of(stage, "answers")
    (folder / "answer").write_bytes(chat.whole_framed())
    http, grpc = free_port(), free_port()
    program = str(peers.nginx_program())
    command = peers.nginx_command(program, "nginx-answers.conf", folder, HTTP_PORT=http, GRPC_PORT=grpc, ANSWER=chat.whole().decode())
    process = stage.start("answers", command)
    return Upstream(process, f"127.0.0.1:{http}", f"127.0.0.1:{grpc}", _ask(folder, stream=False))


def _paced(stage: Stage, moments: str) -> Upstream:
    """A Python of ours, which writes a token to each stream when it is due."""
    folder = peers.folder_of(stage, f"paced-{moments}")
    for name, content in chat.paced().items():
        (folder / name).write_bytes(content)
    pace = [chat.CHUNKS, chat.EVERY_SECONDS, moments]
    process = stage.start(folder.name, [sys.executable, places.PEERS / "paced_upstream.py", folder, *pace])
    process.wait_for(lambda: "listening on" in process.log.read_text(), 10, "listen")
    address = process.log.read_text().split()[-1]
    return Upstream(process, address, address, _ask(folder, stream=True))


def _ask(folder: Path, *, stream: bool) -> Ask:
    body = folder / "question"
    body.write_bytes(chat.question(stream=stream))
    ask = Ask(chat.PATH, body, ["content-type: application/json"], http1=True)
    return replace(ask, chunks=chat.CHUNKS, seconds=chat.CHUNKS * chat.EVERY_SECONDS) if stream else ask


def _start(stage: Stage, mesh: ours.Mesh, upstream: Upstream, kind: str) -> Iterator[Row]:
    yield replace(upstream.row(UPSTREAM, "upstream", upstream.process, upstream.http), aside=[], is_peer=False)
    for peer in (nginx, vllm_router, sglang_router):
        yield peer(stage, upstream, kind)
    gateway, ((_, header_file),) = mesh.gateway(f"gateway-{kind}", upstream.grpc, every_policy=True)
    row = upstream.row(GATEWAY, "gateway", gateway.process, gateway.address)
    yield replace(row, ask=tls.with_key(upstream.ask, Path(header_file)), is_peer=False)


def nginx(stage: Stage, upstream: Upstream, kind: str) -> Row:
    """nginx as a plain proxy."""
    program, port = str(peers.nginx_program()), free_port()
    folder = peers.folder_of(stage, f"nginx-{kind}")
    command = peers.nginx_command(program, "nginx-http.conf", folder, LISTEN_PORT=port, UPSTREAM_PORT=upstream.port())
    return upstream.row(peers.nginx_name(program), "nginx", stage.start(f"nginx-{kind}", command), f"127.0.0.1:{port}")


def vllm_router(stage: Stage, upstream: Upstream, kind: str) -> Row:
    """vLLM's router, with its cheapest policy."""
    return _router(stage, upstream, kind, VLLM, "vllm-router", "vllm_router.launch_router")


def sglang_router(stage: Stage, upstream: Upstream, kind: str) -> Row:
    """SGLang's, with the same."""
    return _router(stage, upstream, kind, SGLANG, "sglang-router", "sglang_router.launch_router")


def _router(stage: Stage, upstream: Upstream, kind: str, name: str, role: str, module: str) -> Row:
    python = places.peer("routers")
    if not python:
        return Absent(name, peers.GET.format("routers"))
    port = free_port()
    options = ["--worker-urls", f"http://{upstream.http}", "--policy", "round_robin", "--log-level", "error", "--prometheus-port", free_port()]
    process = stage.start(f"{role}-{kind}", [python, "-m", module, "--host", "127.0.0.1", "--port", port, *options])
    return upstream.row(name, role, process, f"127.0.0.1:{port}")

"""Suite "minilm": a real model, one sentence a request as text, against the bare forward and beside the peers; a core for each system, one for the load."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple, Union
from urllib.request import urlopen

from . import dialects, encoder_peers, encoders, mesh, sentences
from .agreement import Bodies, Row, checked
from .encoders import Engine, Served
from .load import measure
from .procstat import peak_mb, resident_mb
from .rounds import Plan, say
from .system import Sample, Stage

# A column of a system: the lengths of the texts, and the callers.
Column = Tuple[str, int]


@dataclass
class Cell:
    """The rounds of a system in a column."""

    samples: List[Sample] = field(default_factory=list)
    # Sentences in a forward, where the worker counts them.
    batches: List[float] = field(default_factory=list)


@dataclass(frozen=True)
class Memory:
    """What the processes of a row have resident after the load, and the most that they ever had, in MB."""

    resident: float
    peak: float


@dataclass
class Results:
    """What was measured: by row and column, one sample a round; the floors by engine and column, in sentences a second."""

    rows: List[Row]
    lengths: Sequence[str]
    cells: Dict[Tuple[str, Column], Cell] = field(default_factory=dict)
    floors: Dict[Tuple[str, Column], List[float]] = field(default_factory=dict)
    memory: Dict[str, Memory] = field(default_factory=dict)

    def cell(self, name: str, column: Column) -> Cell:
        """The rounds of a system in a column; none when it is absent."""
        return self.cells.get((name, column), Cell())

    def ratios(self, name: str, other: str, column: Column) -> List[float]:
        """The throughput of one row over another's, round by round."""
        pairs = zip(self.cell(name, column).samples, self.cell(other, column).samples)
        return [one.rps / two.rps for one, two in pairs if two.rps > 0]

    def shares(self, served: Served, column: Column) -> List[float]:
        """The share of its engine's floor, round by round."""
        floors = self.floors.get((served.engine.key, column), []) if served.engine else []
        return [sample.rps / floor for sample, floor in zip(self.cell(served.name, column).samples, floors)]


def run(stage: Stage, plan: Plan, lengths: Sequence[str]) -> Results:
    """Starts everyone who is here, checks what they answer, and measures them."""
    bodies = _written(stage.folder, lengths)
    # One after the other: what a server learns of its speed while it warms up must not be what its neighbours' start leaves it.
    results = Results(checked(chain(encoders.start(stage), encoder_peers.start(stage)), bodies, stage.folder), lengths)
    for length in lengths:
        for callers in plan.callers:
            for number in range(plan.rounds):
                _round(results, (length, callers), number, plan, bodies)
    say("")
    for served in _served(results):
        pids = [process.pid for process in served.system.processes.values()]
        results.memory[served.name] = Memory(sum(map(resident_mb, pids)), sum(map(peak_mb, pids)))
    return results


def _written(folder: Path, lengths: Sequence[str]) -> Bodies:
    """The texts of each length, encoded in each dialect, as files."""
    words = sentences.vocabulary(encoders.exported() / "tokenizer.json")
    bodies: Bodies = {}
    for dialect in dialects.ALL:
        for length in lengths:
            files = [folder / f"{dialect.name}-{length}-{number}.body" for number in range(sentences.TEXTS)]
            for file, text in zip(files, sentences.texts(words, sentences.LENGTHS[length])):
                file.write_bytes(dialect.ask(text))
            bodies[dialect, length] = files
    return bodies


def _served(results: Results) -> List[Served]:
    return [row for row in results.rows if isinstance(row, Served)]


def _round(results: Results, column: Column, number: int, plan: Plan, bodies: Bodies) -> None:
    """Every floor and every system once, in the opposite order in every second round."""
    turns: List[Union[Engine, Served]] = [*encoders.engines(), *_served(results)]
    for turn in turns if number % 2 == 0 else turns[::-1]:
        if isinstance(turn, Engine):
            say(f"{column[0]} tokens, {column[1]} callers, round {number + 1} of {plan.rounds}: forward in a loop, {turn.key}")
            results.floors.setdefault((turn.key, column), []).append(_floor(turn, column, plan))
        else:
            say(f"{column[0]} tokens, {column[1]} callers, round {number + 1} of {plan.rounds}: {turn.name}")
            cell = results.cells.setdefault((turn.name, column), Cell())
            _sample(turn, cell, column[1], plan, bodies[turn.dialect, column[0]])


def _floor(engine: Engine, column: Column, plan: Plan) -> float:
    length, callers = column
    lengths, batch = sentences.LENGTHS[length], min(callers, encoders.MAX_BATCH)
    # The floor forwards one batch over and over: one that is too small to hold every length holds their mean.
    fitting = lengths if batch >= len(lengths) else (round(sum(lengths) / len(lengths)),)
    return mesh.bench_floor(engine.artefact, engine.dtype, batch, fitting, plan.seconds)


def _sample(served: Served, cell: Cell, callers: int, plan: Plan, bodies: List[Path]) -> None:
    before = _batches(served)
    cell.samples.append(measure(served.asked(bodies), callers, plan.connections, plan.seconds))
    if before:
        rows, forwards = (after - earlier for after, earlier in zip(_batches(served), before))
        cell.batches.append(rows / max(1.0, forwards))


def _batches(served: Served) -> List[float]:
    """The sentences and the forwards that the worker has counted so far; nothing where it is not one of ours."""
    if not served.system.batches_at:
        return []
    with urlopen(f"http://{served.system.batches_at}/metrics", timeout=10) as answer:
        return counted(answer.read().decode())


def counted(metrics: str) -> List[float]:
    """The sum and the count of the family of batches."""
    lines = [line for line in metrics.splitlines() if line.startswith("torchmesh_worker_batch_rows_")]
    return [sum(float(line.split()[-1]) for line in lines if line.startswith(f"torchmesh_worker_batch_rows_{end}")) for end in ("sum", "count")]


def flat(results: Results) -> Dict[str, Any]:
    """Every sample, as JSON can hold it."""
    floors = [{"engine": key, "tokens": length, "callers": callers, "rounds": taken} for (key, (length, callers)), taken in results.floors.items()]
    cells = [
        {"system": name, "tokens": length, "callers": callers, "batches": cell.batches, "rounds": [asdict(sample) for sample in cell.samples]}
        for (name, (length, callers)), cell in results.cells.items()
    ]
    return {"floors": floors, "samples": cells, "memory_mb": {name: asdict(memory) for name, memory in results.memory.items()}}

"""Suite "generation": a language model that writes for one user and for many at the same time, against bare steps and beside the peers."""

from __future__ import annotations

import json
import random
import time
from dataclasses import asdict, dataclass, field
from itertools import chain
from statistics import median
from typing import Any, Callable, Dict, Iterable, List, Sequence, Tuple, Union

from . import places, streams, waves, writer_peers, writers
from .load import LoadError
from .process import StartError
from .procstat import Meter
from .rounds import Plan, say
from .system import Absent, Stage
from .waves import Stall, Written
from .writers import Floor, Writer

# Tokens of the prompts on average, and of every answer.
PROMPT, NEW = 128, 64
# How the prompts' lengths differ from it, user by user.
_LENGTHS = (0, -8, 8, -16, 16, -4, 4, 0)
# How often so many users send prompts in one measurement: a lone user's answers are short.
WAVES = {1: 3, 4: 2, 16: 1}
# A long prompt while others are written to, and prompts that begin alike.
LONG_PROMPT, OTHERS, SHARED, OWN, FOLLOWERS = 2000, 8, 1000, 16, 5
# What all go on with beforehand, so that the answers can be held against each other: a conversation of the tests, and so many tokens.
_ALIKE, _ALIKE_TOKENS = "Explain photosynthesis", 24
# Tokens that are neither special nor single bytes.
_USUAL_TOKENS = range(300, 8000)

Row = Union[Writer, Absent]
Prompt = List[int]


@dataclass
class Sample:
    """One measurement of one system with so many users."""

    written: Written
    # Cores that the system used, and the share of one that the asking took; the share of the machine that went to anybody else.
    cores: float
    client: float
    others: float


@dataclass
class Results:
    """What was measured: by row and users, one sample a round; floors by what the weights are held in, and users."""

    rows: List[Row]
    samples: Dict[Tuple[str, int], List[Sample]] = field(default_factory=dict)
    floors: Dict[Tuple[str, int], List[Floor]] = field(default_factory=dict)
    stalls: Dict[str, List[Stall]] = field(default_factory=dict)
    # Seconds to the first token of who begins alike, over those of the first one with that beginning.
    prefixes: Dict[str, List[float]] = field(default_factory=dict)
    # How a row's answer compares with that of transformers with the same dtype.
    notes: Dict[str, str] = field(default_factory=dict)
    # Peers that failed on the way, and how.
    failures: Dict[str, str] = field(default_factory=dict)

    def of(self, name: str, users: int) -> List[Sample]:
        """The samples of a row; none when it is absent."""
        return self.samples.get((name, users), [])


def run(stage: Stage, plan: Plan) -> Results:
    """Starts everyone who is here, and measures them."""
    rows = [_ready(row) for row in chain(writers.start(stage), writer_peers.start(stage))]
    results = Results(rows)
    present = [row for row in rows if isinstance(row, Writer)]
    results.notes = _notes(present)
    for users in plan.callers:
        for number in range(plan.rounds):
            _round(results, present, users, number, plan)
    for writer in present:
        if writer.is_ours:
            for number in range(plan.rounds):
                say(f"long prompts and prefixes, round {number + 1} of {plan.rounds}: {writer.name}")
                results.stalls.setdefault(writer.name, []).append(_stall(writer, number))
                results.prefixes.setdefault(writer.name, []).append(_prefix(writer, number))
    say("")
    return results


def _ready(row: Row) -> Row:
    """The row once it answers; one of a peer that does not is replaced by the reason."""
    if isinstance(row, Absent):
        return row
    try:
        writers.wait_until_it_writes(row)
    except StartError as error:
        if row.is_ours:
            raise
        return Absent(row.name, f"does not run here: {error}")
    return row


def prompts(count: int, length: int, *seed: object) -> List[Prompt]:
    """Prompts of about so many tokens, the same ones for the same seed and never for another: no cache knows them yet."""
    choice = random.Random(" ".join(map(str, (length, *seed))))
    return [choice.choices(_USUAL_TOKENS, k=length + _LENGTHS[number % len(_LENGTHS)]) for number in range(count)]


def _notes(present: Sequence[Writer]) -> Dict[str, str]:
    """Who of ours writes what transformers does with the same weights, and who does not."""
    golden = json.loads((places.ROOT / "tests" / "golden" / "generation.json").read_text())
    prompt = next(case["tokens"] for case in golden["smollm2"]["cases"] if _ALIKE in case["text"])
    texts = {writer.name: writer.door.wave([prompt], _ALIKE_TOKENS)[0].text for writer in present}
    notes = {}
    for writer in present:
        reference = texts.get(writer_peers.transformers_name(writer.dtype))
        if writer.is_ours and reference is not None:
            notes[writer.name] = compared(texts[writer.name], reference, writer.dtype)
    return notes


def compared(text: str, reference: str, dtype: str) -> str:
    """In words, how far a text is the reference. Where weights are rounded, so is every sum, each program in its own order: texts may part."""
    if text == reference:
        return "writes what transformers writes"
    same = next((at for at, (one, other) in enumerate(zip(text, reference)) if one != other), min(len(text), len(reference)))
    parts = "WRITES OTHERWISE than" if dtype == "fp32" else "parts from"
    return f"{parts} transformers behind {same} of {len(reference)} characters"


def _round(results: Results, present: Sequence[Writer], users: int, number: int, plan: Plan) -> None:
    """Every floor and every system once, in the opposite order in every second round."""
    turns: List[Union[str, Writer]] = [*writers.dtypes(), *present]
    for turn in turns if number % 2 == 0 else turns[::-1]:
        if isinstance(turn, str):
            say(f"{users} users, round {number + 1} of {plan.rounds}: steps in a loop, {turn}")
            results.floors.setdefault((turn, users), []).append(writers.floor(turn, users, PROMPT, NEW))
        else:
            say(f"{users} users, round {number + 1} of {plan.rounds}: {turn.name}")
            _measure(results, turn, users, number)


def _measure(results: Results, writer: Writer, users: int, number: int) -> None:
    """One sample; a peer that fails is left out from then on, and one of ours ends the measurement."""
    if writer.name in results.failures:
        return
    try:
        results.samples.setdefault((writer.name, users), []).append(_sample(writer, users, number))
    except (LoadError, OSError) as error:
        if writer.is_ours:
            raise
        results.failures[writer.name] = str(error)


def _sample(writer: Writer, users: int, number: int) -> Sample:
    meter = Meter(process.pid for process in writer.system.processes.values())
    began, asking = time.perf_counter(), time.process_time()
    taken = [writer.door.wave(prompts(users, PROMPT, users, number, wave), NEW) for wave in range(WAVES.get(users, 1))]
    seconds, asked = time.perf_counter() - began, time.process_time() - asking
    spent = sum(meter.read().values())
    strangers = meter.others(spent + asked * 1e6) / (seconds * 1e6 * places.CORES)
    return Sample(waves.written(taken), spent / 1e6 / seconds, asked / seconds, strangers)


def _stall(writer: Writer, number: int) -> Stall:
    """Sends a long prompt while others are written to."""
    door = writer.door
    assert isinstance(door, streams.Door)
    others = [streams.Stream(door, prompt, 4 * NEW) for prompt in prompts(OTHERS, PROMPT, "others", number)]
    for stream in others:
        stream.start()
    _until(lambda: all(stream.begun >= 8 or not stream.is_alive() for stream in others))
    (prompt,) = prompts(1, LONG_PROMPT, "long", number)
    (long,) = door.wave([prompt], 2)
    return waves.stall(long, [stream.answer() for stream in others], chunks(len(prompt), OTHERS))


def chunks(tokens: int, others: int) -> int:
    """How many steps the worker reads a prompt in, beside others who write a token in each."""
    return -(-tokens // (writers.CHUNK - others))


def _until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.005)


def _prefix(writer: Writer, number: int) -> float:
    """How long those wait who begin alike, over how long the first one did."""
    (shared,) = prompts(1, SHARED, "shared", number)
    first, *followers = [shared + own[:OWN] for own in prompts(1 + FOLLOWERS, PROMPT, "own", number)]
    waited = writer.door.wave([first], 2)[0].first
    return median(writer.door.wave([follower], 2)[0].first for follower in followers) / waited


def ratios(above: Iterable[float], below: Iterable[float]) -> List[float]:
    """One figure over another, round by round."""
    return [one / other for one, other in zip(above, below) if other > 0]


def flat(results: Results) -> Dict[str, Any]:
    """Every sample, as JSON can hold it."""
    return {
        "floors": [{"dtype": dtype, "users": users, "rounds": [asdict(each) for each in taken]} for (dtype, users), taken in results.floors.items()],
        "samples": [{"system": name, "users": users, "rounds": [asdict(each) for each in taken]} for (name, users), taken in results.samples.items()],
        "stalls": {name: [asdict(each) for each in taken] for name, taken in results.stalls.items()},
        "prefixes": results.prefixes,
        "notes": results.notes,
        "failures": results.failures,
    }

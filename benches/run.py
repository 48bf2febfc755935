#!/usr/bin/env python3
"""The standing measurements: what the mesh costs, beside the peers that are installed, in one run and one report.

    make bench                                  shell and minilm; about fifteen minutes with every peer, ten without
    python3 benches/run.py --quick              one short round of both: is it all in place?
    python3 benches/run.py --suite shell        only what everything but the model costs; with TLS too, where h2load and openssl are installed
    python3 benches/run.py --suite minilm --tokens 32 --seconds 5    only sentences of 32 tokens, for longer
    python3 benches/run.py --suite openai       the gateway's door in OpenAI's form, beside routers and nginx; about five minutes
    python3 benches/run.py --suite generation   a language model that writes for 1, 4 and 16 users, beside bare steps and peers; about ten minutes
    python3 benches/run.py --suite overload     what is still answered in time when three times too much is asked
    python3 benches/run.py --suite lifecycle    what a hundred loads and unloads leave behind
    python3 benches/run.py --suite soak         what a hop adds to the slowest calls, and what a million calls leave in the gateway's memory;
                                                five minutes, and a gigabyte of the folder for temporary files
    python3 benches/peers/get.py --help         fetches peers; without them their rows say so

text-embeddings-inference is built from its source and measured where these say where it is:
    TORCHMESH_BENCH_TEI         its text-embeddings-router, built with the features grpc and ort
    TORCHMESH_BENCH_TEI_MODEL   a copy of ~/.cache/torchmesh/models/all-MiniLM-L6-v2 with onnx/model.onnx in it, which
                                benches/peers/python/onnx_export.py makes
    ORT_DYLIB_PATH              libonnxruntime.so, if it was built to load that when it starts

transformers is measured from the environment that get.py makes, or with the Python that this names:
    TORCHMESH_BENCH_TRANSFORMERS   a Python that has torch and transformers
llama.cpp's `llama-server` and `vllm` are measured where they are on the PATH.

Nothing else should run meanwhile: the column "others" shows what did.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

from measure import encoders, generation, lifecycle, minilm, openai, overload, overload_report, places, report, sentences, shell, soak, writers
from measure.load import LoadError
from measure.process import StartError, stop_all
from measure.report_generation import of_generation
from measure.report_minilm import of_minilm
from measure.report_openai import of_openai
from measure.report_soak import of_soak
from measure.rounds import Plan
from measure.system import Stage

# What runs when none is named.
USUAL = ("shell", "minilm")
SUITES = (*USUAL, "openai", "generation", "overload", "lifecycle", "soak")
PROGRAMS = ("benches", "gateway", "router", "worker")


def main() -> int:
    """Runs the command line; answers the exit code: 0 measured, 1 something did not start or failed."""
    options = _options()
    # So that a SIGTERM stops what was started too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not options.no_build:
        _build()
    if not places.built("torchmesh-loader").is_file():
        print("torchmesh-benches is not built", file=sys.stderr)
        return 1
    raw: Dict[str, Any] = {}
    measured = {"shell": _shell, "minilm": _minilm, "openai": _openai, "generation": _generation, "overload": _overload, "lifecycle": _lifecycle, "soak": _soak}
    _say(report.machine())
    for suite in options.suite:
        try:
            text, raw[suite] = _on_a_stage(measured[suite], options)
            _say(["", *text])
        except (StartError, LoadError) as error:
            print(f"\n{suite} was not measured: {error}", file=sys.stderr)
    _say(["", *report.legend()])
    if options.json:
        options.json.write_text(json.dumps(raw, indent=1))
    return 0 if len(raw) == len(options.suite) else 1


def _say(lines: List[str]) -> None:
    """Prints a part of the report as soon as it is known: what fails later takes nothing away."""
    print("\n".join(lines), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", action="append", choices=SUITES, help="only this suite; may be given again; shell and minilm when none is")
    parser.add_argument("--quick", action="store_true", help="one round of one second, minilm with two lengths of texts, generation with 1 and 4 users; no figures to quote")
    parser.add_argument("--rounds", type=_positive(int), help="rounds, interleaved (default: minilm 2, others 3)")
    parser.add_argument("--seconds", type=_positive(float), help="length of one measurement (default: shell, openai and soak 4, minilm 1, overload 6)")
    parser.add_argument("--connections", type=_positive(int), default=8, help="connections that many callers share (default 8)")
    parser.add_argument("--tokens", action="append", choices=list(sentences.LENGTHS), help="minilm: only texts of this length; may be given again")
    parser.add_argument("--cycles", type=_positive(int), default=100, help="lifecycle: loads and unloads of each model (default 100; two seconds each)")
    parser.add_argument("--calls", type=_positive(int), default=1_000_000, help="soak: calls while memory is watched (default 1000000)")
    parser.add_argument("--no-build", action="store_true", help="measure the programs that are built already")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE too")
    options = parser.parse_args()
    options.suite = options.suite or list(USUAL)
    options.tokens = options.tokens or (["32", "mixed"] if options.quick else list(sentences.LENGTHS))
    return options


def _positive(kind: type) -> Any:
    def parse(text: str) -> Any:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError("must be above 0")
        return value

    return parse


def _build() -> None:
    """Builds what there is. One that cannot be built shows as a row that is not built, or as it was built last."""
    for name in PROGRAMS:
        command = ["cargo", "build", "--release", "--quiet", "--package", f"torchmesh-{name}"]
        if subprocess.run(command, cwd=places.ROOT, check=False).returncode != 0:
            print(f"torchmesh-{name} cannot be built; measuring what was built before, if anything was", file=sys.stderr)


def _plan(options: argparse.Namespace, callers: Tuple[int, ...], rounds: int, seconds: float) -> Plan:
    if options.quick:
        return Plan(callers, options.connections, 1, options.seconds or 1)
    return Plan(callers, options.connections, options.rounds or rounds, options.seconds or seconds)


def _on_a_stage(suite, options: argparse.Namespace) -> Tuple[List[str], Any]:
    """Runs a suite; its processes end with it. Their output is kept only when it fails."""
    stage = Stage(Path(tempfile.mkdtemp(prefix="torchmesh-bench-")))
    if suite is _minilm:
        stage.cores, stage.cores_aside = places.ONE_CORE, places.OTHER_CORES
    try:
        result = suite(stage, options)
    except (StartError, LoadError):
        print(f"\nthe output of every process is in {stage.folder}", file=sys.stderr)
        raise
    finally:
        stop_all(stage.started)
    shutil.rmtree(stage.folder)
    return result


def _shell(stage: Stage, options: argparse.Namespace) -> Tuple[List[str], Any]:
    plan = _plan(options, (1, 64), 3, 4)
    results = shell.run(stage, plan)
    return report.of_shell(results, plan), _flat(results.samples)


def _minilm(stage: Stage, options: argparse.Namespace) -> Tuple[List[str], Any]:
    reason = encoders.missing()
    if reason:
        return [f"MINILM: not measured: {reason}"], None
    plan = _plan(options, (1, 16, 64), 2, 1)
    results = minilm.run(stage, plan, options.tokens)
    return of_minilm(results, plan), minilm.flat(results)


def _openai(stage: Stage, options: argparse.Namespace) -> Tuple[List[str], Any]:
    reason = openai.missing()
    if reason:
        return [f"OPENAI: not measured: {reason}"], None
    plan = _plan(options, (1, 64), 3, 4)
    measured = openai.run(stage, plan)
    return of_openai(measured, plan), {kind: _flat(results.samples) for kind, results in {"whole": measured.whole, **measured.streams}.items()}


def _generation(stage: Stage, options: argparse.Namespace) -> Tuple[List[str], Any]:
    reason = writers.missing()
    if reason:
        return [f"GENERATION: not measured: {reason}"], None
    plan = _plan(options, (1, 4) if options.quick else (1, 4, 16), 3, 0)
    results = generation.run(stage, plan)
    return of_generation(results, plan), generation.flat(results)


def _overload(stage: Stage, options: argparse.Namespace) -> Tuple[List[str], Any]:
    reason = overload.missing()
    if reason:
        return [f"OVERLOAD: not measured: {reason}"], None
    plan = _plan(options, (), 3, 6)
    results = overload.run(stage, plan)
    return overload_report.lines(results, plan), [measured.flat() for measured in results]


def _lifecycle(stage: Stage, options: argparse.Namespace) -> Tuple[List[str], Any]:
    reason = lifecycle.missing()
    if reason:
        return [f"LIFECYCLE: not measured: {reason}"], None
    lives = lifecycle.run(stage, 3 if options.quick else options.cycles)
    return lifecycle.lines(lives), dataclasses.asdict(lives)


def _soak(stage: Stage, options: argparse.Namespace) -> Tuple[List[str], Any]:
    reason = soak.missing()
    if reason:
        return [f"SOAK: not measured: {reason}"], None
    plan = _plan(options, (), 3, 4)
    soaked = soak.run(stage, plan, 20_000 if options.quick else options.calls)
    return of_soak(soaked, plan), soaked.flat()


def _flat(samples: Dict[Tuple[str, int], list]) -> list:
    return [
        {"system": name, "callers": callers, "rounds": [dataclasses.asdict(sample) for sample in taken]}
        for (name, callers), taken in samples.items()
    ]


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs the fuzz targets, one after the other, and says what each of them did. The exit code is 1 where one has found something.

The compiler is the one that everything else is built with: what coverage and the address sanitizer need is in it, behind a switch.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TARGETS = sorted(path.stem for path in (HERE / "targets").glob("*.rs"))

# As cargo-fuzz has them: counters at every edge, and comparisons, whose operands become part of what is tried.
COVERAGE = [
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
]

# Seconds of one input, and MiB of one allocation and of the process: what takes more is a finding.
LIMITS = ["-timeout=10", "-malloc_limit_mb=48", "-rss_limit_mb=2048"]

# GCC before 13.3 puts a vector of 64 bytes on that check's own stack at addresses that are not its multiples, and then stores it as if they were (GCC bug 110027).
ASAN_OPTIONS = "detect_stack_use_after_return=0"


def main():
    options = parse()
    libtorch = pathlib.Path(os.environ.get("LIBTORCH") or ROOT / ".torchmesh/libtorch/torch").absolute()
    if not (libtorch / "lib").is_dir():
        sys.exit(f"there is no libtorch in {libtorch}; run `make setup`, or set LIBTORCH to its folder")
    environment = dict(os.environ, LIBTORCH=str(libtorch), LD_LIBRARY_PATH=f"{libtorch}/lib", ASAN_OPTIONS=ASAN_OPTIONS)
    built = build(environment, options)
    reports = [run(name, built / name, environment, options) for name in options.targets or TARGETS]
    print("\n" + "\n".join(reports))
    sys.exit(1 if any("FOUND" in report for report in reports) else 0)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all of them unless some are named: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target; default %(default)s, 0 tries the seeds and the corpus alone")
    parser.add_argument("--sanitizer", choices=["address", "none"], default="address", help="none is faster and sees less; default %(default)s")
    parser.add_argument("--again", metavar="FILE", help="run the one target that is named on this finding alone")
    options = parser.parse_args()
    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        parser.error(f"{unknown[0]} is not a target; there are {', '.join(TARGETS)}")
    if options.again and len(options.targets) != 1:
        parser.error("--again needs the one target that found it")
    return options


def build(environment, options):
    """Builds what is to be run, and answers the folder that it is in."""
    triple = next(line.split()[1] for line in output(["rustc", "-vV"]).splitlines() if line.startswith("host:"))
    flags = COVERAGE + (["-Zsanitizer=address"] if options.sanitizer == "address" else [])
    # The sanitizers of a stable compiler are behind this switch.
    if options.sanitizer == "address":
        environment = dict(environment, TORCHMESH_SANITIZERS="address,undefined")
    environment = dict(environment, RUSTC_BOOTSTRAP="1", CARGO_ENCODED_RUSTFLAGS="\x1f".join(flags), CARGO_INCREMENTAL="0")
    environment.pop("RUSTFLAGS", None)
    folder = HERE / "target" if options.sanitizer == "address" else HERE / "target/plain"
    command = ["cargo", "build", "--release", "--manifest-path", str(HERE / "Cargo.toml"), "--target", triple, "--target-dir", str(folder)]
    command += [part for name in options.targets for part in ("--bin", name)]
    if subprocess.run(command, cwd=ROOT, env=environment).returncode:
        sys.exit("the fuzz targets do not build")
    return folder / triple / "release"


def output(command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def run(name, program, environment, options):
    """Runs a target, and answers a line on it."""
    corpus, findings = HERE / "work/corpus" / name, HERE / "work/findings" / name
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    command = [str(program), *LIMITS, f"-artifact_prefix={findings}/"]
    if options.again:
        command.append(options.again)
    else:
        dictionary = HERE / "dictionaries" / f"{name}.dict"
        command += [f"-dict={dictionary}"] if dictionary.exists() else []
        command += [f"-max_total_time={options.seconds}"] if options.seconds else ["-runs=0"]
        command += ["-print_final_stats=1", str(corpus), str(HERE / "seeds" / name)]
    print(f"{name} …", flush=True)
    log = HERE / "work" / f"{name}.log"
    with log.open("w") as into:
        failed = subprocess.run(command, cwd=HERE, env=environment, stdout=into, stderr=subprocess.STDOUT).returncode
    text = log.read_text(errors="replace")
    if failed:
        print("\n".join(text.splitlines()[-60:]))
    return report(name, text, failed, log)


def report(name, text, failed, log):
    def last(pattern):
        found = re.findall(pattern, text)
        return found[-1] if found else "-"

    runs, covered, kept = last(r"number_of_executed_units: (\d+)"), last(r"cov: (\d+)"), last(r"corp: (\d+)")
    line = f"{name:10} {runs:>10} runs  {tried(runs, kept, last(r'corp: [0-9]+/([0-9]+[KM]?b)')):>6} MB  {covered:>6} edges  {kept:>5} inputs kept"
    if not failed:
        return line + "  nothing found"
    artefact = last(r"Test unit written to (\S+)")
    return f"{line}  FOUND {artefact} (log: {log}; again: python3 fuzz/run.py {name} --again {artefact})"


def tried(runs, kept, size):
    """How many megabytes were tried: as many inputs as there were runs, each as long as those that were kept are on average."""
    if "-" in (runs, kept, size):
        return "-"
    number, unit = re.fullmatch(r"(\d+)([KM]?)b", size).groups()
    mean = int(number) * {"": 1, "K": 1 << 10, "M": 1 << 20}[unit] / int(kept)
    return f"{int(runs) * mean / 1e6:.1f}"


if __name__ == "__main__":
    main()

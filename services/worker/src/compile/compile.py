"""Turns a model into a package that AOTInductor compiled. `torchmesh-worker compile` runs this; the argument is its plan, a JSON file.

Standard output carries JSON lines: {"progress": …} and at the end {"result": …} or {"failed": …, "help": …}.
"""

import contextlib
import json
import os
import pathlib
import platform
import subprocess
import sys
import traceback
import warnings

DTYPES = {
    "BOOL": "bool", "UINT8": "uint8", "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "BF16": "bfloat16", "FP32": "float32", "FP64": "float64",
}
WEIGHTS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}

# What a compiler's macro means in the words of /proc/cpuinfo.
INSTRUCTIONS = {
    "SSE3": "pni", "SSSE3": "ssse3", "SSE4_1": "sse4_1", "SSE4_2": "sse4_2", "POPCNT": "popcnt", "AVX": "avx", "AVX2": "avx2", "FMA": "fma",
    "F16C": "f16c", "BMI": "bmi1", "BMI2": "bmi2", "LZCNT": "abm", "MOVBE": "movbe", "AVX512F": "avx512f", "AVX512CD": "avx512cd",
    "AVX512DQ": "avx512dq", "AVX512BW": "avx512bw", "AVX512VL": "avx512vl", "AVX512VNNI": "avx512_vnni", "AVX512BF16": "avx512_bf16",
    "AVX512FP16": "avx512_fp16", "AMX_TILE": "amx_tile", "AMX_BF16": "amx_bf16", "AMX_INT8": "amx_int8", "AMX_FP16": "amx_fp16",
}
LEVELS = ("x86-64-v4", "x86-64-v3", "x86-64-v2")
OUT = sys.stdout


class Failed(Exception):
    """Something that the user can do something about."""

    def __init__(self, problem, advice=None):
        super().__init__(problem)
        self.problem, self.advice = problem, advice


def say(**event):
    """One JSON line on the real standard output."""
    print(json.dumps(event), file=OUT, flush=True)


def level_of_host():
    """The highest level of the x86-64 architecture that this processor has."""
    flags = next((line.split() for line in open("/proc/cpuinfo") if line.startswith("flags")), [])
    if "avx512vl" in flags and "avx512bw" in flags:
        return LEVELS[0]
    return LEVELS[1] if "avx2" in flags else LEVELS[2]


def put_compiler_before(work, level):
    """A compiler that takes `level` where AOTInductor asks for the very processor of this machine, which no other might have."""
    wrapper = work / "g++"
    compiler = os.environ.get("CXX", "g++")
    wrapper.write_text(
        "#!/bin/sh\n"
        'for argument in "$@"; do\n  shift\n'
        f'  if [ "$argument" = -march=native ]; then argument=-march={level}; fi\n'
        '  set -- "$@" "$argument"\ndone\n'
        f'exec {compiler} "$@"\n'
    )
    wrapper.chmod(0o700)
    os.environ["CXX"] = str(wrapper)
    return wrapper


def instructions(wrapper, torch):
    """What the code may contain, as the compiler sees it."""
    flags = torch._inductor.cpu_vec_isa.pick_vec_isa().build_arch_flags()
    command = [wrapper, "-march=native", *[f"-{flag.lstrip('-')}" for flag in flags.split()], "-dM", "-E", "-x", "c++", "/dev/null"]
    macros = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    defined = {line.split()[1].strip("_") for line in macros.splitlines() if line.startswith("#define __")}
    return sorted(name for macro, name in INSTRUCTIONS.items() if macro in defined)


def leaves(value, path=""):
    """The tensors in what a model returns with their names, as the worker's TorchScript engine takes it apart."""
    if value is None:
        return
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    else:
        yield path, value
        return
    for key, item in items:
        yield from leaves(item, f"{path}.{key}" if path else str(key))


def outputs_of(answer, names):
    """The tensors of `answer`, by name when it is a dictionary."""
    found = list(leaves(answer))
    if names and isinstance(answer, dict):
        by_name = dict(found)
        absent = [name for name in names if name not in by_name]
        if absent:
            raise Failed(f'the model returned no output named "{absent[0]}"')
        return [by_name[name] for name in names]
    return [tensor for _, tensor in found]


def published(plan, torch):
    """A Hugging Face directory, as the native encoder answers for it."""
    try:
        import transformers
    except ImportError as error:
        raise Failed("transformers is not installed for this Python", f"{sys.executable} -m pip install transformers") from error
    transformers.logging.disable_progress_bar()
    folder = str(pathlib.Path(plan["source"]).parent)
    architecture = (transformers.AutoConfig.from_pretrained(folder).architectures or [""])[0]
    hidden = plan["hidden"] or "For" not in architecture
    kind = transformers.AutoModel if hidden else getattr(transformers, architecture)
    model = kind.from_pretrained(folder, dtype=torch.float32)
    names = [one["name"] for one in plan["inputs"]]

    class Published(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *inputs):
            answer = self.model(**dict(zip(names, inputs)))
            return answer.last_hidden_state if hidden else answer.logits

    return Published().eval()


def original(plan, torch, example):
    """The model as a module of Python's torch."""
    source = plan["source"]
    if plan["kind"] == "native":
        return published(plan, torch)
    if plan["kind"] == "program":
        return torch.export.load(source).module()
    script = torch.jit.load(source, map_location="cpu").eval()
    say(progress="converting TorchScript")
    from torch._export.converter import TS2EPConverter

    try:
        return TS2EPConverter(script, tuple(example)).convert().module()
    except Exception as error:
        raise Failed(
            f"this TorchScript cannot be converted: {first_line(error)}",
            "it is served as it is; or export the Python model with torch.export and give that file with --program",
        ) from error


def wrapped(model, plan, torch):
    """The model with the worker's interface: a tuple in the order of the manifest, single precision outside whatever is inside."""
    weights = getattr(torch, WEIGHTS[plan["dtype"]]) if plan["dtype"] in WEIGHTS else None
    if weights is not None:
        model = model.to(weights)

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *inputs):
            if weights is not None:
                inputs = [one.to(weights) if one.dtype == torch.float32 else one for one in inputs]
            made = outputs_of(self.model(*inputs), plan["outputs"])
            other = [one for one in made if not isinstance(one, torch.Tensor)]
            if other:
                raise Failed(f"the model returns a {type(other[0]).__name__}, which a compiled model cannot")
            narrow = weights is not None and weights != torch.float32
            return tuple(one.float() if narrow and one.dtype == weights else one for one in made)

    return Wrapped()


def examples(plan, torch):
    """Inputs of two rows; ones are in every vocabulary and a mask that hides nothing."""
    made = []
    for one in plan["inputs"]:
        shape = [2 if at == 0 and size == -1 and plan["batched"] else plan["length"] if size == -1 else size for at, size in enumerate(one["shape"])]
        if one["datatype"] not in DTYPES:
            raise Failed(f"input \"{one['name']}\" is {one['datatype']}, which no model of torch takes")
        dtype = getattr(torch, DTYPES[one["datatype"]])
        made.append(torch.rand(shape).to(dtype) if dtype.is_floating_point else torch.ones(shape, dtype=dtype))
    return made


def exported(model, plan, torch, example):
    """The program, with every -1 of the manifest left open."""
    auto = torch.export.Dim.AUTO
    dims = tuple({at: auto for at, size in enumerate(one["shape"]) if size == -1} for one in plan["inputs"])
    try:
        return torch.export.export(model, tuple(example), dynamic_shapes=(dims,), strict=False)
    except Failed:
        raise
    except Exception as error:
        raise Failed(f"torch.export cannot take this model: {first_line(error)}", "it is served as it is") from error


def dim(size, name, at, program):
    """What the code takes in one dimension, in the sidecar's form."""
    if isinstance(size, int):
        return size
    multiple, symbol = size.node.expr.as_coeff_Mul()
    if not symbol.is_Symbol or not multiple.is_Integer or multiple < 1:
        raise Failed(f'input "{name}": the model allows only {size.node.expr} in dimension {at}, which cannot be checked at run time')
    bounds = program.range_constraints[symbol]
    highest = int(bounds.upper) if bounds.upper.is_Integer and bounds.upper < 2**62 else None
    # Export never looks at lengths 0 and 1, so it says 2; a length of 1 is tried afterwards.
    lowest = int(bounds.lower)
    return {"symbol": str(symbol), "multiple": int(multiple), "min": 1 if lowest <= 2 else lowest, "max": highest}


def joined(described):
    """The same with one symbol for the first dimensions, the batch, however few of them the code compares."""
    batch = {one["dims"][0]["symbol"] for one in described if one["dims"] and isinstance(one["dims"][0], dict)}
    for length in (length for one in described for length in one["dims"] if isinstance(length, dict)):
        if length["symbol"] in batch:
            length["symbol"] = "batch"
    return described


def inputs_of(program, plan):
    """What the code takes, in the sidecar's form."""
    wanted = set(program.graph_signature.user_inputs)
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in wanted]
    described = []
    for node, one in zip(nodes, plan["inputs"]):
        name = one["name"]
        dims = [dim(size, name, at, program) for at, size in enumerate(node.meta["val"].shape)]
        for at, (have, want) in enumerate(zip(dims, one["shape"])):
            if want == -1 and isinstance(have, int):
                raise Failed(
                    f'input "{name}": the model only works with {have} in dimension {at}, where model.toml leaves the length open',
                    "its forward reads this size as a number; write it without, or set the length in [[inputs]] shape",
                )
        described.append({"name": name, "datatype": one["datatype"], "dims": dims})
    return joined(described) if plan["batched"] else described


def compile_model(plan, work):
    """Everything; gives the result."""
    level = plan["cpu"] or level_of_host()
    wrapper = put_compiler_before(work, level)
    say(progress="importing torch")
    import torch
    import torch._inductor.config
    import torch._inductor.cpu_vec_isa

    on_gpu = plan["device"] == "cuda"
    # One thread: code for several leaves the process, not the call, when it finds an index out of range.
    options = {"freezing": not on_gpu, "cpp.threads": 1}
    if level != LEVELS[0]:
        # Code for wider registers than the level has would not run there.
        torch._inductor.config.cpp.simdlen = 256
    torch.set_num_threads(1)
    with torch.no_grad():
        example = examples(plan, torch)
        say(progress="reading the model")
        model = wrapped(original(plan, torch, example), plan, torch)
        if on_gpu:
            model, example = model.cuda(), [one.cuda() for one in example]
        say(progress="exporting")
        program = exported(model, plan, torch, example)
        inputs = inputs_of(program, plan)
        say(progress="compiling, which takes from seconds to minutes")
        torch._inductor.aoti_compile_and_package(program, package_path=plan["out"], inductor_configs=options)
    return {
        "torch": torch.__version__.split("+")[0],
        "machine": platform.machine(),
        "instructions": [] if on_gpu else instructions(wrapper, torch),
        "inputs": inputs,
    }


def first_line(error):
    """The line of an error that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


def main():
    """Reads the plan, and says how it went."""
    plan_file = pathlib.Path(sys.argv[1])
    plan = json.loads(plan_file.read_text())
    warnings.simplefilter("ignore")
    try:
        # What libraries print goes to the log.
        with contextlib.redirect_stdout(sys.stderr):
            result = compile_model(plan, plan_file.parent)
        say(result=result)
    except Failed as failed:
        say(failed=failed.problem, help=failed.advice)
        sys.exit(1)
    except Exception as error:
        traceback.print_exc()
        say(failed=first_line(error), help=None)
        sys.exit(1)


if __name__ == "__main__":
    main()

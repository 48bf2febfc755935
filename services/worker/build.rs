//! Builds the engine's C++ part, and tells the linker where the program will find libtorch when it starts.

use std::path::Path;

/// Where the C++ of our own kernels is.
const KERNELS: &str = "src/engine/kernels";
/// The C++ that calls libtorch.
const SHIMS: [&str; 3] = ["src/engine/kernels/packed.cpp", "src/engine/aoti/package.cpp", "src/engine/cuda/device.cpp"];

/// The instruction sets that the encoder's kernels are compiled for on `x86_64`, and what tells the compiler. Which one a process uses is
/// decided when it runs (simd.rs).
const X86_64: [(&str, &[&str]); 3] = [
    ("avx2", &["-mavx2", "-mfma"]),
    ("avx512", &["-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]),
    ("avx512_bf16", &["-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512bf16"]),
];

/// Sanitizers for our own C++, such as `address,undefined`; the fuzz targets set it.
const SANITIZERS: &str = "TORCHMESH_SANITIZERS";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={SANITIZERS}");
    println!("cargo:rerun-if-changed={KERNELS}");
    for shim in SHIMS.into_iter().chain(["src/engine/shim.h"]) {
        println!("cargo:rerun-if-changed={shim}");
    }
    own_kernels();
    // torch-sys finds libtorch and says where, but a dependency's rpath does not reach the binaries of the packages above it.
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // A compiled model's library needs libtorch.so and says nothing of where it is: only the older form of the rpath also holds for what is
    // opened later.
    println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
    let include = Path::new(&lib).with_file_name("include");
    sanitized(&mut cc::Build::new())
        .cpp(true)
        .std("c++17")
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .warnings(false)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .files(SHIMS)
        .compile("torchmesh_shims");
}

/// The kernels need nothing of libtorch.
fn own_kernels() {
    compile("plain", &[]);
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|architecture| architecture == "x86_64") {
        for (name, flags) in X86_64 {
            compile(name, flags);
        }
    }
}

fn compile(name: &str, flags: &[&str]) {
    let mut build = cc::Build::new();
    // Without contraction a product and its sum would be two instructions; a square root that may set errno would be a call.
    for flag in ["-ffp-contract=fast", "-fno-math-errno"].iter().chain(flags) {
        build.flag(flag);
    }
    // GCC 12 takes its own intrinsics for uninitialised.
    build.flag_if_supported("-Wno-maybe-uninitialized");
    let table = format!("torchmesh_kernels_{name}");
    sanitized(&mut build)
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .define("TORCHMESH_KERNELS", table.as_str())
        .file(format!("{KERNELS}/simd.cpp"))
        .compile(&table);
}

fn sanitized(build: &mut cc::Build) -> &mut cc::Build {
    if let Ok(names) = std::env::var(SANITIZERS) {
        // The check of virtual tables needs a part of the runtime that Rust's does not have.
        for flag in [&format!("-fsanitize={names}"), "-fno-sanitize=vptr", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"] {
            build.flag(flag);
        }
    }
    build
}

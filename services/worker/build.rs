//! Builds the engine's C++ part, and tells the linker where the program will find libtorch when it starts.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/engine/kernels/packed.cpp");
    // torch-sys finds libtorch and says where, but a dependency's rpath does not reach the binaries of the packages above it.
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    let include = Path::new(&lib).with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .include(include)
        .warnings(false)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .file("src/engine/kernels/packed.cpp")
        .compile("torchmesh_kernels");
}

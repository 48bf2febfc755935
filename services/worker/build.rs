//! Tells the linker where the program will find libtorch when it starts.

fn main() {
    // torch-sys finds libtorch and says where, but a dependency's rpath does not reach the binaries of the packages above it.
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
    println!("cargo:rerun-if-changed=build.rs");
}

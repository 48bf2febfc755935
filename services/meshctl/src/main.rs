//! `meshctl`, the command line of torchmesh.

use std::process::ExitCode;

fn main() -> ExitCode {
    torchmesh_meshctl::main()
}

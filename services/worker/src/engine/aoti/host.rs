//! What a package has to fit to run here.

use std::{collections::BTreeSet, fs};

use super::package::torch_version;

/// This machine and this program, as far as a package depends on them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Host {
    /// The version of libtorch.
    pub(crate) torch: String,
    /// The kind of processor, such as `x86_64`.
    pub(crate) machine: String,
    /// What the processor can do, in Linux's words, such as `avx512f`.
    pub(crate) instructions: BTreeSet<String>,
}

impl Host {
    /// This one.
    pub(crate) fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self { torch: torch_version().to_owned(), machine: std::env::consts::ARCH.to_owned(), instructions: flags(&cpuinfo) }
    }
}

fn flags(cpuinfo: &str) -> BTreeSet<String> {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("flags").or_else(|| line.strip_prefix("Features")));
    line.and_then(|line| line.split_once(':')).map(|(_, flags)| flags.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instructions_of_the_first_processor_are_read() {
        let flags = flags("processor\t: 0\nflags\t\t: fpu avx2 fma\nbugs\t\t: none\n");
        assert_eq!(flags.into_iter().collect::<Vec<_>>(), ["avx2", "fma", "fpu"]);
        assert!(Host::here().torch.starts_with("2."));
    }
}

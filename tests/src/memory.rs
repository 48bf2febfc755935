//! How much memory a process has, as the kernel counts it.

use std::fs;

/// Memory that is in RAM now, in bytes.
pub fn resident(pid: u32) -> u64 {
    field(pid, "VmRSS:")
}

/// The most memory that was in RAM since the start, or since [`forget_peak`], in bytes.
pub fn peak(pid: u32) -> u64 {
    field(pid, "VmHWM:")
}

/// Sets the peak to what is in RAM now.
pub fn forget_peak(pid: u32) {
    // "5" resets the peak (proc_pid_clear_refs(5)).
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the peak of a process of ours can be reset");
}

fn field(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel counts it");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes");
    kilobytes << 10
}

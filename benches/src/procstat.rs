//! What a process has cost, from `/proc`.

use std::{fs, time::Duration};

/// Clock ticks a second in `/proc/PID/stat`: Linux shows 100 to user space on every architecture that we run on.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time of this process, all threads, dead ones too; `None` where there is no `/proc`.
pub fn own_cpu_time() -> Option<Duration> {
    cpu_time_of(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// Reads the fields 14 and 15. They are counted from the last `)`, because the process' name (field 2) may itself hold spaces and brackets.
fn cpu_time_of(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1_000 / TICKS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_plus_system_even_if_the_name_has_brackets() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 1 2 3";
        assert_eq!(cpu_time_of(stat), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_truncated_line_is_no_figure() {
        assert_eq!(cpu_time_of("42 (a) S 1 42"), None);
        assert_eq!(cpu_time_of(""), None);
    }
}

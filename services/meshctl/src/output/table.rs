//! Tables without lines: they read well, and `awk` can take them apart.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};

/// A table with a heading.
pub(crate) fn table<const N: usize>(heading: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heading.map(str::to_uppercase));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A text in one line of at most `width` characters.
pub(crate) fn short(text: &str, width: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= width {
        return line;
    }
    line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// How long ago a time in milliseconds since 1970 was.
pub(crate) fn ago(at_ms: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = now.as_secs().saturating_sub(at_ms / 1000);
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_do_not_end_in_blanks() {
        let shown = table(["name", "state"], [["a".into(), "ready".into()], ["longer".into(), String::new()]]);
        assert_eq!(shown, "NAME    STATE\na       ready\nlonger");
    }

    #[test]
    fn a_long_text_is_cut_and_a_line_break_does_not_break_the_table() {
        assert_eq!(short("ab\ncd", 5), "ab cd");
        assert_eq!(short("abcdef", 5), "abcd…");
        assert_eq!(short("äöüßé", 5), "äöüßé");
    }
}

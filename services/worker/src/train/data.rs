//! Labelled texts, one JSON object a line.

use std::{collections::BTreeSet, path::Path};

use serde::Deserialize;

/// One text in five is held out.
const HELD_OUT: u64 = 5;

/// Texts, and the names of their labels in alphabetical order.
#[derive(Debug, PartialEq)]
pub(super) struct Labelled {
    pub(super) labels: Vec<String>,
    pub(super) texts: Vec<Text>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Text {
    pub(super) text: String,
    /// Its label's place.
    pub(super) label: usize,
}

#[derive(Deserialize)]
struct Line {
    text: String,
    label: String,
}

impl Text {
    /// Whether it is kept from the training. It depends on what it says alone, so that a text that occurs twice is never on both sides.
    pub(super) fn held_out(&self) -> bool {
        let hash = self.text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        (hash >> 32) % HELD_OUT == 0
    }
}

/// Reads a file; the error names the line.
pub(super) fn read(file: &Path) -> Result<Labelled, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    parse(&text).map_err(|reason| format!("{shown}: {reason}"))
}

fn parse(text: &str) -> Result<Labelled, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(at, line): (usize, &str)| serde_json::from_str::<Line>(line).map_err(|error| format!("line {}: {error}", at + 1));
    let lines = lines.map(read).collect::<Result<Vec<_>, _>>()?;
    let names: BTreeSet<&str> = lines.iter().map(|line| line.label.as_str()).collect();
    if names.len() < 2 {
        return Err(format!("has {} labels; a classifier needs two at least", names.len()));
    }
    let labels: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let place = |label: &String| labels.binary_search(label).unwrap_or(0);
    let texts = lines.into_iter().map(|line| Text { label: place(&line.label), text: line.text }).collect();
    Ok(Labelled { labels, texts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_numbered_in_alphabetical_order() {
        let read = parse("{\"text\": \"a\", \"label\": \"spam\"}\n\n{\"text\": \"b\", \"label\": \"ham\"}").unwrap();
        assert_eq!(read.labels, ["ham", "spam"]);
        assert_eq!(read.texts.iter().map(|text| text.label).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        assert!(parse("{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": 1}").unwrap_err().starts_with("line 2"));
        assert!(parse("{\"text\": \"a\", \"label\": \"x\"}").unwrap_err().contains("has 1 labels"));
    }

    #[test]
    fn about_a_fifth_is_held_out_and_always_the_same() {
        let text = |at: usize| Text { text: format!("text {at}"), label: 0 };
        let held: Vec<bool> = (0..1000).map(|at| text(at).held_out()).collect();
        assert!((150..250).contains(&held.iter().filter(|held| **held).count()));
        assert_eq!(held, (0..1000).map(|at| text(at).held_out()).collect::<Vec<_>>());
    }
}

//! What the fuzz target of a batch's lines holds them to (`fuzz/`); it is in no build but that and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use std::collections::HashSet;

use serde_json::Value;

use super::{
    ENDPOINTS,
    call::not_made,
    lines::{Checker, of, read},
};

/// The longest line, and the most lines.
const MOST: (usize, usize) = (256, 16);

/// A file: its lines are cut where they end; one that is taken has as many calls as was said, each with an id of its own and an object to send; an answer is a line that
/// names the call; and one that is refused is told why, with the line.
pub fn lines(file: &[u8]) {
    let cut: Vec<Option<Vec<u8>>> = of(file, MOST.0).map(|line| line.expect("it is in memory")).collect();
    let wanted: Vec<&[u8]> = file.strip_suffix(b"\n").unwrap_or(file).split(|&byte| byte == b'\n').collect();
    let wanted = wanted.into_iter().map(|line| (line.len() <= MOST.0).then(|| line.to_vec()));
    assert!(file.is_empty() || cut.iter().cloned().eq(wanted), "{cut:?}");
    let texts: Vec<Option<String>> = cut.into_iter().map(|line| line.map(|line| String::from_utf8_lossy(&line).into_owned())).collect();
    for endpoint in ENDPOINTS {
        checked(endpoint, &texts);
    }
}

fn checked(endpoint: &str, texts: &[Option<String>]) {
    let mut checker = Checker::new(endpoint, MOST.1);
    let mut goes_on = |line: &Option<String>| match line {
        Some(line) => checker.check(line),
        None => checker.too_long(MOST.0),
    };
    let checked = texts.iter().take_while(|line| goes_on(line)).count();
    match checker.end() {
        Ok(count) => {
            assert!(checked == texts.len() && (1..=MOST.1).contains(&count), "{count} calls of {checked} lines");
            let mut ids = HashSet::new();
            for line in texts.iter().flatten().filter_map(|line| read(line)) {
                assert!(line.body.get().starts_with('{'), "{line:?}");
                answered(&line.custom_id);
                assert!(ids.insert(line.custom_id), "an id is there twice");
            }
            assert_eq!(ids.len(), count);
        }
        Err(mistakes) => {
            assert!((1..=51).contains(&mistakes.len()), "{} mistakes", mistakes.len());
            assert!(mistakes.iter().all(|mistake| mistake.line.is_none_or(|line| (1..=texts.len()).contains(&line))), "{mistakes:?}");
        }
    }
}

fn answered(custom_id: &str) {
    let line = not_made(custom_id, "code", "message").text;
    assert!(!line.contains(&b'\n'));
    let told: Value = serde_json::from_slice(&line).expect("an answer is JSON");
    assert_eq!(told["custom_id"], custom_id);
}

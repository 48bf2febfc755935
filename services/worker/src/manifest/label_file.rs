//! `labels.json` and `labels.txt` beside a model: the names of its outputs, where there are too many to list in a manifest.

use std::{fs, path::Path};

use serde_json::Value;

/// The names in the folder, in the order of their numbers; `None` where there is no such file, or none that makes sense.
pub(super) fn read(folder: &Path) -> Option<Vec<String>> {
    if let Ok(text) = fs::read_to_string(folder.join("labels.json")) {
        return parse(&serde_json::from_str(&text).ok()?);
    }
    let text = fs::read_to_string(folder.join("labels.txt")).ok()?;
    Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// A list of names, or an object from number to name.
fn parse(value: &Value) -> Option<Vec<String>> {
    if let Some(list) = value.as_array() {
        return list.iter().map(first).collect();
    }
    let numbered = value.as_object()?.iter().map(|(number, name)| Some((number.parse::<usize>().ok()?, first(name)?)));
    let mut named: Vec<(usize, String)> = numbered.collect::<Option<_>>()?;
    named.sort_unstable();
    // Numbers that leave gaps would give names to the wrong classes.
    let dense = named.iter().enumerate().all(|(at, (number, _))| at == *number);
    dense.then(|| named.into_iter().map(|(_, name)| name).collect())
}

/// A name, or the first of several for one class.
fn first(name: &Value) -> Option<String> {
    name.as_str().or_else(|| name.get(0)?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, text: &str) -> Option<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), text).unwrap();
        read(folder.path())
    }

    #[test]
    fn names_are_read_in_every_form_they_are_published_in() {
        for (name, text) in [
            ("labels.txt", "cat\n\ndog \n"),
            ("labels.json", r#"["cat", "dog"]"#),
            ("labels.json", r#"{"1": "dog", "0": "cat"}"#),
            ("labels.json", r#"{"0": ["cat", "tabby"], "1": ["dog"]}"#),
        ] {
            assert_eq!(named(name, text).unwrap(), ["cat", "dog"], "{text}");
        }
    }

    #[test]
    fn names_that_leave_a_class_out_are_none() {
        assert_eq!(named("labels.json", r#"{"0": "cat", "2": "dog"}"#), None);
        assert_eq!(named("labels.json", "[1]"), None);
        assert_eq!(named("other.txt", "cat"), None);
    }
}

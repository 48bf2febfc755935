//! Both languages say everything, and nothing is said that is not asked for.

use std::{collections::BTreeSet, fs, path::Path};

use super::*;

fn keys(language: Language) -> BTreeSet<String> {
    read(language).unwrap().into_keys().collect()
}

#[test]
fn both_languages_have_the_same_keys_and_the_same_places() {
    let [english, chinese] = Language::ALL.map(|language| read(language).unwrap());
    assert_eq!(english.keys().collect::<BTreeSet<_>>(), chinese.keys().collect::<BTreeSet<_>>());
    for (key, text) in &english {
        assert_eq!(places(text), places(&chinese[key]), "{key}");
        assert!(!text.is_empty() && !chinese[key].is_empty(), "{key} is empty");
    }
}

fn places(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(place, _)| place).collect()
}

/// Everything in quotes in the sources, the tests excepted.
fn quoted(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            quoted(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") && !entry.ends_with("text/tests.rs") {
            let text = fs::read_to_string(&entry).unwrap();
            found.extend(text.split('"').map(str::to_owned));
        }
    }
}

#[test]
fn every_text_is_used_and_every_text_that_is_used_is_there() {
    let mut found = BTreeSet::new();
    quoted(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let known = keys(Language::English);
    // What is put together from a word and a beginning, such as `role.` and `owner`.
    let beginnings = [
        "role.",
        "task.",
        "state.",
        "stage.",
        "by.",
        "told.",
        "fail.",
        "docs.topic.",
        "event.",
        "theme.",
        "invoice.state.",
        "figure.",
        "unit.",
    ];
    let built = |key: &str| beginnings.iter().any(|beginning| key.starts_with(beginning));
    let unused: Vec<_> = known.iter().filter(|key| !found.contains(*key) && !built(key)).collect();
    assert!(unused.is_empty(), "nobody asks for {unused:?}");
    let sections: BTreeSet<_> = known.iter().filter_map(|key| key.split_once('.')).map(|(section, _)| section).collect();
    let is_key = |text: &str| {
        let plain =
            text.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_') && !text.ends_with('.') && !text.ends_with(".example");
        plain && text.split_once('.').is_some_and(|(section, _)| sections.contains(section))
    };
    let missing: Vec<_> = found.iter().filter(|text| is_key(text) && !known.contains(*text)).collect();
    assert!(missing.is_empty(), "there is no text for {missing:?}");
}

#[test]
fn places_are_filled() {
    let texts = HashMap::from([("a.b".to_owned(), "to {name}, by {who}".to_owned())]);
    let texts = Texts(&texts);
    assert_eq!(texts.fill("a.b", &[("name", "x"), ("who", "y")]), "to x, by y");
    assert_eq!(texts.get("a.absent"), "a.absent");
}

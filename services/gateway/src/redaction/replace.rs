//! Puts placeholders where personal data was.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    fmt::Write as _,
    ops::Range,
};

use serde_json::{Map, Value};

use super::{
    find::{Finder, Found},
    kind::{Counts, Kind, Kinds},
    names::Names,
};

/// One request's: equal values have equal placeholders, `[EMAIL_1]` in each of its texts.
#[derive(Debug)]
pub struct Redactor {
    kinds: Kinds,
    names: Names,
    /// The number of each value, by what makes it another.
    numbers: HashMap<(Kind, String), u32>,
    /// How many values of each kind there are so far that differ.
    different: Counts,
    counts: Counts,
}

impl Redactor {
    /// Looks for these kinds, and for names as far as it is known where they are.
    pub fn new(kinds: Kinds, names: Names) -> Self {
        Self { kinds, names, numbers: HashMap::new(), different: Counts::default(), counts: Counts::default() }
    }

    /// What became of the names.
    pub fn names(self) -> Names {
        self.names
    }

    /// How many values were found so far, of each kind.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// A text with its placeholders; borrowed where it has nothing to be replaced.
    pub fn text<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        let mut redacted = String::new();
        let mut copied = 0;
        for Found { kind, range } in values(text, self.kinds, self.names.of(text)) {
            self.counts.add(kind);
            let number = self.number(kind, &text[range.clone()]);
            redacted.push_str(&text[copied..range.start]);
            let _ = write!(redacted, "[{}_{number}]", kind.placeholder());
            copied = range.end;
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        redacted.push_str(&text[copied..]);
        Cow::Owned(redacted)
    }

    fn number(&mut self, kind: Kind, value: &str) -> u32 {
        match self.numbers.entry((kind, normal(kind, value))) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.different.add(kind);
                *new.insert(self.different.of(kind))
            }
        }
    }

    /// A text that is JSON, with placeholders in its strings, in the names of its fields and in the place of its numbers, so that it stays JSON. What is none
    /// is a text like any other.
    pub fn json<'t>(&mut self, text: &'t str) -> Cow<'t, str> {
        // Where no character is escaped, all that may be found stands there as it is.
        if !self.names.are_looked_for() && !text.contains('\\') && Finder::new(text, self.kinds).next().is_none() {
            return Cow::Borrowed(text);
        }
        let Ok(mut value) = serde_json::from_str(text) else { return self.text(text) };
        if self.value(&mut value) { Cow::Owned(value.to_string()) } else { Cow::Borrowed(text) }
    }

    /// Whether something was replaced.
    fn value(&mut self, value: &mut Value) -> bool {
        let text = match value {
            Value::Null | Value::Bool(_) => return false,
            // Each of them, also when the first has something.
            Value::Array(values) => return values.iter_mut().fold(false, |changed, value| self.value(value) | changed),
            Value::Object(fields) => return self.fields(fields),
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::String(text) => Cow::Borrowed(text.as_str()),
        };
        let Cow::Owned(redacted) = self.text(&text) else { return false };
        *value = Value::String(redacted);
        true
    }

    fn fields(&mut self, fields: &mut Map<String, Value>) -> bool {
        let mut changed = fields.values_mut().fold(false, |changed, value| self.value(value) | changed);
        if fields.keys().any(|name| Finder::new(name, self.kinds).next().is_some()) {
            let named = std::mem::take(fields);
            *fields = named.into_iter().map(|(name, value)| (self.text(&name).into_owned(), value)).collect();
            changed = true;
        }
        changed
    }
}

/// The values of a text in their order. What a form tells is not a name as well.
fn values(text: &str, kinds: Kinds, names: &[Range<usize>]) -> Vec<Found> {
    let mut found: Vec<_> = Finder::new(text, kinds).collect();
    let by_form = found.len();
    for name in names {
        let overlaps = |one: &Found| one.range.start < name.end && name.start < one.range.end;
        if !found[..by_form].iter().any(overlaps) {
            found.push(Found { kind: Kind::Name, range: name.clone() });
        }
    }
    found.sort_by_key(|one| one.range.start);
    found
}

/// What two ways to write the same value have in common.
fn normal(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Email => value.to_lowercase(),
        Kind::Ip => value.to_ascii_lowercase(),
        Kind::Name => value.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase(),
        _ => value.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(Kind::ALL.into_iter().collect(), Names::default())
    }

    #[test]
    fn equal_values_have_equal_placeholders_in_all_texts_of_a_request() {
        let mut redactor = redactor();
        let told = redactor.text("From ada@example.org to bob@example.org, cc Ada@Example.org").into_owned();
        assert_eq!(told, "From [EMAIL_1] to [EMAIL_2], cc [EMAIL_1]");
        assert_eq!(redactor.text("bob@example.org pays with 4111 1111 1111 1111"), "[EMAIL_2] pays with [CARD_1]");
        assert_eq!(redactor.text("4111-1111-1111-1111"), "[CARD_1]");
        let counts: Vec<_> = redactor.counts().iter().collect();
        assert_eq!(counts, [(Kind::Email, 4), (Kind::Card, 2)]);
    }

    #[test]
    fn names_are_numbered_as_the_rest_is_and_what_a_form_tells_is_none() {
        let (first, second) = ("Ada Lovelace <ada@example.org> wrote to Bob", "ADA  LOVELACE");
        let places = [(first, vec![0..12, 14..17, 40..43]), (second, std::iter::once(0..13).collect())];
        let names = Names::Known(places.map(|(text, places)| (text.to_owned(), places)).into());
        let mut redactor = Redactor::new(Kinds::usual(), names);
        assert_eq!(redactor.text(first), "[NAME_1] <[EMAIL_1]> wrote to [NAME_2]");
        assert_eq!(redactor.text(second), "[NAME_1]");
        assert_eq!(redactor.json(&format!("{{\"a\":[\"{second}\",\"Ada\"]}}")), "{\"a\":[\"[NAME_1]\",\"Ada\"]}");
    }

    #[test]
    fn the_texts_of_json_are_collected_one_by_one() {
        let mut redactor = Redactor::new(Kinds::usual(), Names::Wanted(Default::default()));
        redactor.json("{\"to\":[\"Ada\",{\"cc\":\"B\\u006fb\"}],\"n\":1}");
        let Names::Wanted(texts) = redactor.names() else { panic!("they are collected") };
        assert_eq!(texts.into_iter().collect::<Vec<_>>(), ["Ada", "Bob"]);
    }

    #[test]
    fn a_text_without_any_is_not_copied() {
        let text = "Grüße, 世界: order 12345 of 2024-01-15";
        assert!(matches!(redactor().text(text), Cow::Borrowed(same) if same.as_ptr() == text.as_ptr()));
        let json = "{\"a\": [1, 2.50, \"b\"]}";
        assert!(matches!(redactor().json(json), Cow::Borrowed(same) if same.as_ptr() == json.as_ptr()));
        let escaped = "{\"a\":\"x\\ny\"}";
        assert!(matches!(redactor().json(escaped), Cow::Borrowed(_)));
    }

    #[test]
    fn json_stays_json_and_escapes_hide_nothing() {
        for (text, wanted) in [
            ("{\"to\":\"ada@example.org\",\"n\":1}", "{\"to\":\"[EMAIL_1]\",\"n\":1}"),
            ("{\"to\":\"ada\\u0040example.org\"}", "{\"to\":\"[EMAIL_1]\"}"),
            ("{\"card\":4111111111111111}", "{\"card\":\"[CARD_1]\"}"),
            ("{\"ada@example.org\":true}", "{\"[EMAIL_1]\":true}"),
            ("[[\"a\",{\"b\":\"536-22-1234\"}]]", "[[\"a\",{\"b\":\"[US_SSN_1]\"}]]"),
            ("{\"to\": ada@example.org", "{\"to\": [EMAIL_1]"),
        ] {
            assert_eq!(redactor().json(text), wanted, "{text}");
        }
    }

    fn nearly() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[0-9]{1,5}",
            "[-+.@ /():_%'\\[\\]]",
            "[a-zA-Zé日]{1,3}",
            Just("ada@example.org".to_owned()),
            Just("4111111111111111".to_owned()),
            Just("+49 30 1234567".to_owned()),
            Just("DE89370400440532013000".to_owned()),
            Just("536-22-1234".to_owned()),
            Just("203.0.113.7".to_owned()),
            Just("11010519491231002X".to_owned()),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_was_redacted_has_nothing_more_to_redact(text in prop_oneof![any::<String>(), nearly()]) {
            let once = redactor().text(&text).into_owned();
            prop_assert_eq!(redactor().text(&once), once.as_str(), "of {:?}", text);
        }

        #[test]
        fn json_that_was_redacted_is_json(text in nearly(), number in any::<u64>()) {
            let json = serde_json::json!({ "a": [text, number], text.as_str(): { "b": text } }).to_string();
            let mut redactor = redactor();
            let redacted = redactor.json(&json).into_owned();
            prop_assert!(serde_json::from_str::<Value>(&redacted).is_ok(), "{}", redacted);
            prop_assert!(matches!(redactor.json(&redacted), Cow::Borrowed(_)), "{}", redacted);
        }
    }
}

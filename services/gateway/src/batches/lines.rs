//! The lines of a batch's file: each is a call.

use std::{
    collections::HashSet,
    io::{self, BufRead, Read as _},
    iter,
};

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::batch::Mistake;

/// Only so many mistakes are told.
const MOST_MISTAKES: usize = 50;
/// The longest id of a line, in bytes.
const LONGEST_ID: usize = 512;

/// One call of a batch.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    /// The caller's own name for it.
    pub(super) custom_id: String,
    method: String,
    url: String,
    /// What is sent.
    #[serde(borrow)]
    pub(super) body: &'a RawValue,
}

/// The lines of a file, without their ends; `None` for one of more than `longest` bytes, which takes no memory.
pub(super) fn of<R: BufRead>(mut from: R, longest: usize) -> impl Iterator<Item = io::Result<Option<Vec<u8>>>> {
    iter::from_fn(move || {
        let mut line = Vec::new();
        match from.by_ref().take(longest as u64 + 1).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(length) => Some(whole(&mut from, line, length <= longest)),
            Err(error) => Some(Err(error)),
        }
    })
}

/// A line without its end; nothing, and the rest of it passed over, where it is longer than what was read.
fn whole(from: &mut impl BufRead, mut line: Vec<u8>, fits: bool) -> io::Result<Option<Vec<u8>>> {
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if !fits {
        from.skip_until(b'\n')?;
        return Ok(None);
    }
    Ok(Some(line))
}

/// Reads a line that was checked before; `None` for one that is empty.
pub(super) fn read(line: &str) -> Option<Line<'_>> {
    serde_json::from_str(line).ok()
}

/// Checks line after line; see [`Checker::end`].
#[derive(Debug)]
pub(super) struct Checker<'a> {
    endpoint: &'a str,
    most: usize,
    ids: HashSet<String>,
    line: usize,
    mistakes: Vec<Mistake>,
}

impl<'a> Checker<'a> {
    /// Of a batch of calls of `endpoint`, with `most` lines.
    pub(super) fn new(endpoint: &'a str, most: usize) -> Self {
        Self { endpoint, most, ids: HashSet::new(), line: 0, mistakes: Vec::new() }
    }

    /// Checks the next line. Whether more need to be read: not after too many mistakes.
    pub(super) fn check(&mut self, text: &str) -> bool {
        self.line += 1;
        if !text.trim().is_empty() {
            if let Err((code, message, param)) = self.read(text) {
                self.note(code, message, param, Some(self.line));
            }
            if self.ids.len() > self.most {
                self.note(
                    "too_many_requests",
                    format!("there are more than {} lines; send them as several batches", self.most),
                    None,
                    None,
                );
                return false;
            }
        }
        self.mistakes.len() < MOST_MISTAKES
    }

    /// The next line has too many bytes to be looked at.
    pub(super) fn too_long(&mut self, longest: usize) -> bool {
        self.line += 1;
        self.note(
            "line_too_long",
            format!("it has more than {longest} bytes, which is the most that a call may have"),
            None,
            Some(self.line),
        );
        self.mistakes.len() < MOST_MISTAKES
    }

    fn note(&mut self, code: &str, message: String, param: Option<&str>, line: Option<usize>) {
        self.mistakes.push(Mistake { code: code.to_owned(), message, param: param.map(str::to_owned), line });
    }

    fn read(&mut self, text: &str) -> Result<(), (&'static str, String, Option<&'static str>)> {
        let line: Line<'_> =
            serde_json::from_str(text).map_err(|error| ("invalid_json_line", format!("it cannot be read: {error}"), None))?;
        if line.custom_id.is_empty() || line.custom_id.len() > LONGEST_ID {
            return Err(("invalid_value", format!("custom_id must have 1 to {LONGEST_ID} bytes"), Some("custom_id")));
        }
        if line.method != "POST" {
            return Err(("invalid_method", format!("method is {:?}; it must be \"POST\"", cut(&line.method)), Some("method")));
        }
        if line.url != self.endpoint {
            let message = format!("url is {:?}, and the batch's endpoint is {:?}; they must be the same", cut(&line.url), self.endpoint);
            return Err(("mismatched_endpoint", message, Some("url")));
        }
        let body: Map<String, Value> =
            serde_json::from_str(line.body.get()).map_err(|_| ("invalid_value", "body must be an object".to_owned(), Some("body")))?;
        if !body.get("model").is_some_and(Value::is_string) {
            return Err(("invalid_value", "body.model must be a model's name".to_owned(), Some("body.model")));
        }
        if body.get("stream") == Some(&Value::Bool(true)) {
            return Err(("invalid_value", "body.stream must not be true: a batch has whole answers".to_owned(), Some("body.stream")));
        }
        if self.ids.contains(&line.custom_id) {
            let message = format!("the custom_id {:?} is another line's already", cut(&line.custom_id));
            return Err(("duplicate_custom_id", message, Some("custom_id")));
        }
        self.ids.insert(line.custom_id);
        Ok(())
    }

    /// How many calls there are, or what is wrong.
    pub(super) fn end(mut self) -> Result<usize, Vec<Mistake>> {
        if self.ids.is_empty() && self.mistakes.is_empty() {
            self.note("empty_file", "the file has no lines".to_owned(), Some("input_file_id"), None);
        }
        if self.mistakes.is_empty() { Ok(self.ids.len()) } else { Err(self.mistakes) }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = r#"{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"m","input":"x"}}"#;

    fn check(lines: &[&str]) -> Result<usize, Vec<Mistake>> {
        let mut checker = Checker::new("/v1/embeddings", 3);
        for line in lines {
            if !checker.check(line) {
                break;
            }
        }
        checker.end()
    }

    #[test]
    fn lines_are_counted_and_empty_ones_passed_over() {
        assert_eq!(check(&[GOOD, "", &GOOD.replace("\"a\"", "\"b\""), "  "]), Ok(2));
        let line = read(GOOD).unwrap();
        assert_eq!((line.custom_id.as_str(), line.body.get()), ("a", r#"{"model":"m","input":"x"}"#));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let lines = [
            GOOD,
            GOOD,
            "{",
            &GOOD.replace("\"a\"", "\"\""),
            &GOOD.replace("POST", "GET"),
            &GOOD.replace("/v1/embeddings", "/v1/rerank"),
            &GOOD.replace(r#"{"model":"m","input":"x"}"#, "[]"),
            &GOOD.replace(r#""model":"m","#, ""),
            &GOOD.replace(r#""input":"x""#, r#""stream":true"#),
        ];
        let told: Vec<_> = check(&lines).unwrap_err().into_iter().map(|m| (m.line.unwrap(), m.code, m.param.unwrap_or_default())).collect();
        let want = [
            (2, "duplicate_custom_id", "custom_id"),
            (3, "invalid_json_line", ""),
            (4, "invalid_value", "custom_id"),
            (5, "invalid_method", "method"),
            (6, "mismatched_endpoint", "url"),
            (7, "invalid_value", "body"),
            (8, "invalid_value", "body.model"),
            (9, "invalid_value", "body.stream"),
        ];
        assert_eq!(told, want.map(|(line, code, param)| (line, code.to_owned(), param.to_owned())));
    }

    #[test]
    fn too_many_lines_and_none_are_mistakes_of_the_whole_file() {
        let many: Vec<_> = (0..9).map(|n| GOOD.replace("\"a\"", &format!("\"{n}\""))).collect();
        let many = check(&many.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_err();
        assert_eq!((many.len(), many[0].code.as_str(), many[0].line), (1, "too_many_requests", None));
        assert_eq!(check(&["", " "]).unwrap_err()[0].code, "empty_file");
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_named() {
        let text = b"12345\n123456\n\n1234567\n12".as_slice();
        let read: Vec<_> = of(text, 6).map(Result::unwrap).map(|line| line.map(|line| String::from_utf8(line).unwrap())).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read, [some("12345"), some("123456"), some(""), None, some("12")]);
        let mut checker = Checker::new("/v1/embeddings", 3);
        assert!(checker.check(GOOD) && checker.too_long(6));
        let mistakes = checker.end().unwrap_err();
        assert_eq!((mistakes[0].line, mistakes[0].code.as_str()), (Some(2), "line_too_long"));
    }

    proptest! {
        #[test]
        fn a_file_is_cut_into_its_lines(lines in prop::collection::vec("[a-z]{0,9}", 0..9), longest in 0_usize..9) {
            let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
            let read: Vec<_> = of(text.as_bytes(), longest).map(Result::unwrap).collect();
            let wanted: Vec<_> = lines.into_iter().map(|line| Some(line.into_bytes()).filter(|line| line.len() <= longest)).collect();
            prop_assert_eq!(read, wanted);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[{}\":,a-z_0-9\\[\\] ]{0,80}") {
            let _ = check(&[&text]);
        }
    }
}

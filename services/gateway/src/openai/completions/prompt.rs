//! The four forms of a prompt: a text, texts, a text's tokens, and several texts' tokens.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor, value::SeqAccessDeserializer},
};

use crate::bounded::AtMost;

/// The most prompts of one request.
pub(crate) const MAX_PROMPTS: usize = 1024;
/// The most tokens of one prompt.
pub(crate) const MAX_TOKENS: usize = 4 << 20;

/// One prompt or several.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Texts(Vec<String>),
    Tokens(Vec<Vec<u32>>),
}

/// An entry of a list.
enum Entry {
    Text(String),
    Token(u32),
    Tokens(Vec<u32>),
}

impl<'de> Deserialize<'de> for Prompt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Prompt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a list of texts, a list of tokens, or a list of lists of tokens")
    }

    fn visit_str<E>(self, text: &str) -> Result<Prompt, E> {
        Ok(Prompt::Texts(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Prompt, A::Error> {
        let (mut texts, mut lists, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(entry) = entries.next_element()? {
            match entry {
                Entry::Text(text) if lists.is_empty() && tokens.is_empty() => texts.push(text),
                Entry::Tokens(list) if texts.is_empty() && tokens.is_empty() => lists.push(list),
                Entry::Token(token) if texts.is_empty() && lists.is_empty() => tokens.push(token),
                _ => return Err(A::Error::custom("texts, tokens and lists of tokens cannot be mixed")),
            }
            if texts.len().max(lists.len()) > MAX_PROMPTS {
                return Err(A::Error::custom(format!("at most {MAX_PROMPTS} prompts can be sent in one request")));
            }
            if tokens.len() > MAX_TOKENS {
                return Err(A::Error::custom(format!("a prompt has more than {MAX_TOKENS} tokens")));
            }
        }
        if !tokens.is_empty() {
            return Ok(Prompt::Tokens(vec![tokens]));
        }
        Ok(if lists.is_empty() { Prompt::Texts(texts) } else { Prompt::Tokens(lists) })
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        impl<'de> Visitor<'de> for One {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a token or a list of tokens")
            }
            fn visit_str<E>(self, text: &str) -> Result<Entry, E> {
                Ok(Entry::Text(text.to_owned()))
            }
            fn visit_u64<E: serde::de::Error>(self, token: u64) -> Result<Entry, E> {
                u32::try_from(token).map(Entry::Token).map_err(|_| E::custom("a token's id is less than 2^32"))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, tokens: A) -> Result<Entry, A::Error> {
                AtMost::<u32, MAX_TOKENS>::deserialize(SeqAccessDeserializer::new(tokens)).map(|tokens| Entry::Tokens(tokens.0))
            }
        }
        deserializer.deserialize_any(One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Prompt, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn all_four_forms_are_taken() {
        let texts = |texts: &[&str]| Ok(Prompt::Texts(texts.iter().map(|&text| text.to_owned()).collect()));
        assert_eq!(read(r#""a""#), texts(&["a"]));
        assert_eq!(read(r#"["a","b"]"#), texts(&["a", "b"]));
        assert_eq!(read("[1,2]"), Ok(Prompt::Tokens(vec![vec![1, 2]])));
        assert_eq!(read("[[1],[2,3]]"), Ok(Prompt::Tokens(vec![vec![1], vec![2, 3]])));
        assert_eq!(read("[]"), texts(&[]));
    }

    #[test]
    fn forms_cannot_be_mixed_and_are_not_endless() {
        for mixed in [r#"["a",1]"#, r"[1,[2]]", r#"[[1],"a"]"#] {
            assert!(read(mixed).unwrap_err().contains("mixed"), "{mixed}");
        }
        for wrong in ["7", "[1.5]", "[-1]", "[4294967296]", "[true]", "{}", "[null]"] {
            assert!(read(wrong).is_err(), "{wrong} was taken");
        }
        assert!(read(&format!("[{}]", vec!["\"\""; MAX_PROMPTS + 1].join(","))).unwrap_err().contains("1024"));
    }
}

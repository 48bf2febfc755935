//! One form of the text format that the parser does not know.

/// Puts the colon in front of every list of messages that has none: `input [ { … } ]` is as good as `input: [ { … } ]`, and is how Triton's own
/// examples have it.
pub(super) fn before_lists(text: &str) -> String {
    let mut made = String::with_capacity(text.len() + 16);
    let mut last = Last::Other;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' => quoted(rest, first),
            _ if is_of_name(first) => rest.find(|c| !is_of_name(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        if first == '[' && last == Last::Name {
            made.push(':');
        }
        last = match first {
            ':' => Last::Colon,
            // A name behind a colon is a value.
            _ if is_of_name(first) && last != Last::Colon => Last::Name,
            '#' => last,
            _ if first.is_whitespace() => last,
            _ => Last::Other,
        };
        made.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    made
}

/// What stands before a place, blanks and comments aside.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Last {
    Name,
    Colon,
    Other,
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The length of the string that a text begins with, its quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_is_put_where_one_may_be_left_out_and_nowhere_else() {
        for (text, expected) in [
            ("input [ { } ]", "input :[ { } ]"),
            ("input # why [\n [{}]", "input # why [\n :[{}]"),
            ("dims: [ 1 ] input[", "dims: [ 1 ] input:["),
            ("name: \"input [\" kind: KIND [x]", "name: \"input [\" kind: KIND [x]"),
            ("a: 'it\\'s [' b { c [] }", "a: 'it\\'s [' b { c :[] }"),
            ("ü \"open [", "ü \"open ["),
        ] {
            assert_eq!(before_lists(text), expected);
        }
    }
}

//! JSON as Python's `json.dumps` writes it, which is what models were trained on.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// A space after each comma and colon.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { to.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

/// Writes `value` as transformers' `tojson` does: no escapes but those that JSON needs, keys in their order; over several lines where `indent` says by
/// how many spaces.
pub(super) fn dump(value: &impl Serialize, indent: Option<usize>) -> Result<String, serde_json::Error> {
    let mut written = Vec::new();
    match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut written, Spaced))?,
        Some(indent) => {
            let indent = " ".repeat(indent.min(16));
            value.serialize(&mut Serializer::with_formatter(&mut written, PrettyFormatter::with_indent(indent.as_bytes())))?;
        }
    }
    Ok(String::from_utf8_lossy(&written).into_owned())
}

//! A `TorchScript` archive written from source text.
//!
//! The archive is a plain zip that holds the module's source, its attributes pickled, and its constants pickled. A module without
//! weights has neither attributes nor constants, so a few fixed bytes do.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use zip::write::FileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::ExportError;

/// The version of the archive format; libtorch reads 1 to 10.
const FORMAT: &[u8] = b"6\n";

/// An empty tuple, pickled.
const NO_CONSTANTS: &[u8] = b"\x80\x02).";

/// Writes a module of the class `class` at `out`, whose method is `forward`: the signature after `self` and a body, one statement a
/// line, in the dialect that libtorch itself saves (operators are `torch.…`, tensors are `Tensor`, no decorators).
pub(crate) fn save_source(class: &str, signature: &str, body: &[&str], out: &Path) -> Result<(), ExportError> {
    let mut source = format!(
        "class {class}(Module):\n  __parameters__ = []\n  __buffers__ = []\n  def forward(self: __torch__.{class},\n    {signature}:\n"
    );
    for line in body {
        source.push_str("    ");
        source.push_str(line);
        source.push('\n');
    }
    write(class, &source, out).map_err(|source| ExportError::File { path: out.to_owned(), source })
}

fn write(class: &str, source: &str, out: &Path) -> io::Result<()> {
    // Pickle protocol 2: the class by name, no arguments, a new object of it, no attributes as its state, the end.
    let module = [b"\x80\x02c__torch__\n", class.as_bytes(), b"\n)\x81}b."].concat();
    let mut zip = ZipWriter::new(File::create(out)?);
    let entries: [(&str, &[u8]); 4] =
        [("data.pkl", &module), ("code/__torch__.py", source.as_bytes()), ("constants.pkl", NO_CONSTANTS), ("version", FORMAT)];
    for (name, bytes) in entries {
        zip.start_file(format!("{class}/{name}"), FileOptions::default().compression_method(CompressionMethod::Stored))?;
        zip.write_all(bytes)?;
    }
    zip.finish()?.sync_all()
}

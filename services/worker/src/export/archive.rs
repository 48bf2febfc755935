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
    let source = source(class, "  __parameters__ = []\n", signature, body);
    // Pickle protocol 2: the class by name, no arguments, a new object of it, no attributes as its state, the end.
    let module = [b"\x80\x02c__torch__\n", class.as_bytes(), b"\n)\x81}b."].concat();
    write(class, &[("data.pkl", &module), ("code/__torch__.py", source.as_bytes())], out)
        .map_err(|source| ExportError::File { path: out.to_owned(), source })
}

fn source(class: &str, attributes: &str, signature: &str, body: &[&str]) -> String {
    let head =
        format!("class {class}(Module):\n{attributes}  __buffers__ = []\n  def forward(self: __torch__.{class},\n    {signature}:\n");
    body.iter().fold(head, |source, line| source + "    " + line + "\n")
}

/// The same with one parameter: `self.weight`, `FP32` [rows, columns], fewer than 256 of each.
#[cfg(test)]
pub(crate) fn save_with_weight(class: &str, signature: &str, body: &[&str], weight: &[Vec<f32>], out: &Path) -> Result<(), ExportError> {
    let source = source(class, "  __parameters__ = [\"weight\", ]\n  weight : Tensor\n", signature, body);
    let size = |count: usize| [b'K', u8::try_from(count).expect("a small weight")];
    let word = |text: &str| [b"X", &u32::try_from(text.len()).expect("a short word").to_le_bytes()[..], text.as_bytes()].concat();
    let (rows, columns) = (size(weight.len()), size(weight[0].len()));
    let values: Vec<u8> = weight.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    let module = [
        b"\x80\x02c__torch__\n",
        class.as_bytes(),
        b"\n)\x81}",
        &word("weight"),
        // A tensor: its storage by a persistent id (kind, file, device, length), offset, sizes, strides, gradient, hooks.
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &word("storage"),
        b"ctorch\nFloatStorage\n",
        &word("0"),
        &word("cpu"),
        &size(values.len() / 4),
        b"tQK\0(",
        &rows,
        &columns,
        b"t(",
        &columns,
        b"K\x01t\x89ccollections\nOrderedDict\n)RtRsb.",
    ]
    .concat();
    write(class, &[("data.pkl", &module), ("code/__torch__.py", source.as_bytes()), ("data/0", &values)], out)
        .map_err(|source| ExportError::File { path: out.to_owned(), source })
}

fn write(class: &str, entries: &[(&str, &[u8])], out: &Path) -> io::Result<()> {
    let mut zip = ZipWriter::new(File::create(out)?);
    let fixed: [(&str, &[u8]); 2] = [("constants.pkl", NO_CONSTANTS), ("version", FORMAT)];
    for (name, bytes) in entries.iter().chain(&fixed) {
        zip.start_file(format!("{class}/{name}"), FileOptions::default().compression_method(CompressionMethod::Stored))?;
        zip.write_all(bytes)?;
    }
    zip.finish()?.sync_all()
}

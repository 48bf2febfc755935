//! The `tokenizer.bin` beside a checkpoint of llama2.c: Llama 2's pieces with their scores.

use std::collections::BTreeMap;

use crate::{
    WeightsError,
    file::Source,
    vocabulary::{
        Added,
        pieces::{self, BLANK, Pieces},
    },
};

const UNKNOWN: u32 = 0;
/// Begins every text.
pub(super) const BEGIN: u32 = 1;
/// Ends a text.
pub(super) const END: u32 = 2;
/// The first three, as Llama 2 writes them; the file has line breaks around two of them.
const SPECIAL: [(u32, &str, &str); 3] = [(UNKNOWN, "unk_token", "<unk>"), (BEGIN, "bos_token", "<s>"), (END, "eos_token", "</s>")];
/// A piece's score and length.
const SMALLEST: usize = 4 + 4;

pub(super) fn special_texts() -> BTreeMap<String, String> {
    SPECIAL.into_iter().map(|(_, name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// The `tokenizer.json` of a file with this many pieces.
pub(super) fn read(source: &Source, count: usize) -> Result<String, WeightsError> {
    if count < SPECIAL.len() || count.saturating_mul(SMALLEST) as u64 > source.length() {
        return Err(source.wrong(format!(
            "has {} bytes, and a vocabulary of {count} pieces takes more: it is cut or of another model",
            source.length()
        )));
    }
    let bytes = source.read(0, source.length())?;
    let mut rest = bytes.get(4..).unwrap_or_default();
    let (mut texts, mut scores) = (Vec::new(), Vec::new());
    for id in 0..count {
        let (score, text) =
            piece(&mut rest).ok_or_else(|| source.wrong(format!("ends in the middle of piece {id} of {count}, or it is not UTF-8")))?;
        texts.push(byte(id, text).unwrap_or_else(|| text.replace(' ', BLANK)));
        scores.push(score);
    }
    for (id, _, text) in SPECIAL {
        text.clone_into(&mut texts[id as usize]);
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let added = SPECIAL.map(|(id, _, text)| Added { id, text: text.to_owned(), special: true });
    pieces::tokenizer(&Pieces {
        texts: &texts,
        scores: &scores,
        merged: &|id| id >= SPECIAL.len() && !is_byte(texts[id]),
        unknown: Some(SPECIAL[0].2),
        added: &added,
        begin: Some((BEGIN, SPECIAL[1].2)),
        blank_before: true,
    })
    .map_err(|problem| source.wrong(problem))
}

/// Takes the next piece off.
fn piece<'a>(rest: &mut &'a [u8]) -> Option<(f32, &'a str)> {
    let (score, after) = rest.split_first_chunk::<4>()?;
    let (length, after) = after.split_first_chunk::<4>()?;
    let (text, after) = after.split_at_checked(usize::try_from(i32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some((f32::from_le_bytes(*score), str::from_utf8(text).ok()?))
}

/// The piece that stands for a byte, as Llama 2 writes it. Some files have the character of that number instead, which another piece may be too.
fn byte(id: usize, text: &str) -> Option<String> {
    let byte = u8::try_from(id.checked_sub(SPECIAL.len())?).ok()?;
    let name = format!("<0x{byte:02X}>");
    (text == name || text.chars().eq([char::from(byte)])).then_some(name)
}

/// Whether a piece stands for a byte, as `<0x0A>` does.
fn is_byte(text: &str) -> bool {
    text.len() == 6 && text.starts_with("<0x") && text.ends_with('>')
}

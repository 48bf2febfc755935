mod forms;
mod schemas;
mod timing;
mod validity;

use crate::{structure::Grammars, write::Words};

/// The token that ends an answer in the vocabulary of these tests.
const END: u32 = 256;

/// The 256 bytes, an end token, and tokens of several bytes, some of which cross the borders of a form.
fn words() -> Words {
    let longer = [
        "{\"",
        "\":",
        ", ",
        "\"}",
        "},",
        "true",
        "false",
        "null",
        "12",
        "é",
        "\u{1f600}",
        "[[",
        "]}",
        "0.",
        "e1",
        "\\n",
        "\"a\"",
        "aa",
        "zz\"",
    ];
    let bytes = (0..=u8::MAX).map(|byte| (vec![byte], false));
    Words::new(bytes.chain([(b"<|end|>".to_vec(), true)]).chain(longer.iter().map(|text| (text.as_bytes().to_vec(), false))))
}

fn grammars() -> Grammars {
    Grammars::new(&words(), &[END]).unwrap()
}

use torchmesh_generation::{
    chat::{CallFormat, Calls, Delta},
    write::{Stops, Text},
};

/// Only so much is looked at: what is held to here takes its square.
const MOST: usize = 512;

/// What a model writes, piece by piece: a byte says how long a piece is, and stop texts follow with a byte 1 between them, up to a zero byte. Pieces together are what the whole
/// is; the answer ends with the stop text that is complete first, of which nothing shows; and calls are the same however they are cut.
pub fn writing(written: &[u8]) {
    let Some((&size, rest)) = written.split_first() else { return };
    let at = rest.iter().position(|&byte| byte == 0).unwrap_or(0);
    let (stops, bytes) = rest.split_at(at);
    let bytes = &bytes[..bytes.len().min(MOST)];
    let (mut text, mut pieces) = (Text::default(), Vec::new());
    for piece in bytes.chunks(1 + usize::from(size % 16)) {
        let mut shown = String::new();
        text.push(piece, &mut shown);
        pieces.push(shown);
    }
    let mut last = String::new();
    text.finish(&mut last);
    pieces.push(last);
    let whole = pieces.concat();
    assert_eq!(whole, String::from_utf8_lossy(bytes));
    let stops = stops.split(|&byte| byte == 1).filter(|stop| !stop.is_empty()).map(|stop| String::from_utf8_lossy(stop).into_owned());
    stopped(&pieces, &whole, &stops.take(16).collect::<Vec<_>>());
    for format in [CallFormat::Hermes, CallFormat::Llama, CallFormat::Mistral] {
        let (once, pieces) = (called(format, [&*whole]), called(format, pieces.iter().map(String::as_str)));
        assert_eq!(once, pieces, "{format:?}");
    }
}

fn stopped(pieces: &[String], whole: &str, stops: &[String]) {
    let wanted = ended(whole, stops);
    let (mut search, mut shown, mut stop) = (Stops::new(stops.to_vec().into()), String::new(), None);
    for piece in pieces {
        stop = search.push(piece, &mut shown);
        assert!(wanted.unwrap_or(whole).starts_with(&shown), "{shown:?} has leaked of {wanted:?}");
        if stop.is_some() {
            break;
        }
    }
    if stop.is_none() {
        search.finish(&mut shown);
    }
    assert_eq!((&*shown, stop.is_some()), (wanted.unwrap_or(whole), wanted.is_some()));
}

/// The text in front of the stop text that is complete first, the longest of several, by looking at every end of every beginning.
fn ended<'a>(whole: &'a str, stops: &[String]) -> Option<&'a str> {
    (0..=whole.len()).filter(|&end| whole.is_char_boundary(end)).find_map(|end| {
        let longest = stops.iter().filter(|stop| whole[..end].ends_with(stop.as_str())).map(String::len).max();
        longest.map(|length| &whole[..end - length])
    })
}

/// The content, and of each call the name and the arguments.
fn called<'a>(format: CallFormat, pieces: impl IntoIterator<Item = &'a str>) -> (String, Vec<(String, String)>) {
    let mut calls = Calls::new(format, ["weather".to_owned()], 1);
    let mut deltas: Vec<Delta> = pieces.into_iter().flat_map(|piece| calls.push(piece)).collect();
    deltas.extend(calls.finish());
    let (mut content, mut found) = (String::new(), Vec::new());
    for delta in deltas {
        match delta {
            Delta::Content(text) => content.push_str(&text),
            Delta::Call(piece) if piece.index == found.len() => {
                assert!(!piece.id.is_empty() && (format != CallFormat::Llama || piece.name == "weather"), "{piece:?}");
                found.push((piece.name, piece.arguments));
            }
            Delta::Call(piece) => {
                assert!(piece.id.is_empty() && piece.name.is_empty() && piece.index + 1 == found.len(), "{piece:?}");
                found[piece.index].1.push_str(&piece.arguments);
            }
        }
    }
    assert_eq!(calls.count(), found.len());
    (content, found)
}

//! The items of an answer, gathered from its pieces.

use serde_json::{Value, json};
use torchmesh_api::text::v1::{ChatResponse, FinishReason, Usage};

/// What is told of the items while they come.
pub(super) trait Told {
    /// An item begins.
    fn begins(&mut self, at: usize, item: &Item);
    /// Something more of it.
    fn grows(&mut self, at: usize, item: &Item, by: &str);
    /// It is whole.
    fn ends(&mut self, at: usize, item: &Item);
}

/// Nobody is told.
impl Told for () {
    fn begins(&mut self, _: usize, _: &Item) {}
    fn grows(&mut self, _: usize, _: &Item, _: &str) {}
    fn ends(&mut self, _: usize, _: &Item) {}
}

/// All items so far.
#[derive(Debug, Default)]
pub(super) struct Output {
    items: Vec<Item>,
    open: bool,
    /// The calls so far, in the numbers of the mesh.
    calls: Option<u32>,
    pub(super) usage: Usage,
    /// The answer was cut because it was as long as it may be.
    pub(super) cut: bool,
}

/// A message, or the call of a function.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) call: Option<Call>,
    /// What the message says, or the call's arguments.
    pub(super) text: String,
}

/// What is called.
#[derive(Debug)]
pub(super) struct Call {
    id: String,
    pub(super) name: String,
}

impl Output {
    /// Takes a piece.
    pub(super) fn add(&mut self, piece: ChatResponse, told: &mut impl Told) {
        self.cut |= piece.finish_reason() == FinishReason::Length;
        if let Some(usage) = piece.usage {
            self.usage = usage;
        }
        if !piece.content.is_empty() {
            self.begin_unless(told, |item| item.call.is_none(), || Item::new("msg_", None));
            self.grow(&piece.content, told);
        }
        for part in piece.tool_calls {
            if self.calls.is_none_or(|last| part.index > last) {
                self.calls = Some(part.index);
                self.begin_unless(told, |_| false, || Item::new("fc_", Some(Call { id: part.id, name: part.name })));
            }
            if !part.arguments.is_empty() {
                self.grow(&part.arguments, told);
            }
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self, told: &mut impl Told) {
        if std::mem::take(&mut self.open)
            && let Some(item) = self.items.last()
        {
            told.ends(self.items.len() - 1, item);
        }
    }

    /// Every item as it is told in the end.
    pub(super) fn shown(&self) -> Vec<Value> {
        let last = self.items.len().wrapping_sub(1);
        self.items
            .iter()
            .enumerate()
            .map(|(at, item)| item.shown(if self.cut && at == last { "incomplete" } else { "completed" }))
            .collect()
    }

    fn begin_unless(&mut self, told: &mut impl Told, fits: impl FnOnce(&Item) -> bool, new: impl FnOnce() -> Item) {
        if self.open && self.items.last().is_some_and(fits) {
            return;
        }
        self.end(told);
        self.open = true;
        let at = self.items.len();
        self.items.push(new());
        told.begins(at, &self.items[at]);
    }

    fn grow(&mut self, by: &str, told: &mut impl Told) {
        let at = self.items.len().wrapping_sub(1);
        if let Some(item) = self.items.last_mut() {
            item.text.push_str(by);
            told.grows(at, item, by);
        }
    }
}

impl Item {
    fn new(kind: &str, call: Option<Call>) -> Self {
        Self { id: format!("{kind}{:032x}", fastrand::u128(..)), call, text: String::new() }
    }

    /// In OpenAI's form; an item that has only begun has nothing in it yet.
    pub(super) fn shown(&self, status: &str) -> Value {
        if let Some(Call { id, name }) = &self.call {
            let arguments = &self.text;
            json!({ "type": "function_call", "id": self.id, "call_id": id, "name": name, "arguments": arguments, "status": status })
        } else {
            let content = if status == "in_progress" { vec![] } else { vec![self.part()] };
            json!({ "type": "message", "id": self.id, "status": status, "role": "assistant", "content": content })
        }
    }

    /// The only part of a message.
    pub(super) fn part(&self) -> Value {
        json!({ "type": "output_text", "text": self.text, "annotations": [], "logprobs": [] })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::text::v1::ToolCallPiece;

    use super::*;

    /// Puts together what it is told.
    #[derive(Default)]
    struct Heard(Vec<(String, bool)>);

    impl Told for Heard {
        fn begins(&mut self, at: usize, item: &Item) {
            assert_eq!((at, item.text.as_str()), (self.0.len(), ""));
            assert!(self.0.iter().all(|(_, ended)| *ended), "one item at a time");
            self.0.push((String::new(), false));
        }
        fn grows(&mut self, at: usize, _: &Item, by: &str) {
            assert!(!self.0[at].1);
            self.0[at].0.push_str(by);
        }
        fn ends(&mut self, at: usize, item: &Item) {
            assert_eq!(self.0[at], (item.text.clone(), false));
            self.0[at].1 = true;
        }
    }

    proptest! {
        #[test]
        fn what_is_told_on_the_way_is_what_there_is_in_the_end(pieces in proptest::collection::vec((any::<bool>(), "[a-c]{0,2}"), 0..20)) {
            let (mut output, mut heard, mut calls) = (Output::default(), Heard::default(), 0);
            for (words, text) in pieces {
                let piece = if words {
                    ChatResponse { content: text, ..Default::default() }
                } else {
                    calls += 1;
                    let call = ToolCallPiece { index: calls / 2, id: "c".into(), name: "f".into(), arguments: text };
                    ChatResponse { tool_calls: vec![call], ..Default::default() }
                };
                output.add(piece, &mut heard);
            }
            output.end(&mut heard);
            output.end(&mut heard);
            prop_assert!(heard.0.iter().all(|(_, ended)| *ended));
            let texts: Vec<_> = output.items.iter().map(|item| item.text.clone()).collect();
            prop_assert_eq!(texts, heard.0.into_iter().map(|(text, _)| text).collect::<Vec<_>>());
        }
    }
}

//! An answer as it is written: `response.*` events, each with its number.

use serde_json::{Value, json};
use torchmesh_api::{error::ApiError, text::v1::ChatResponse};

use super::{
    output::{Item, Output, Told},
    response::{Response, Status},
};
use crate::generation::events::{Form, Written};

/// Writes the events of one answer.
#[derive(Debug)]
pub(super) struct Events {
    response: Response,
    output: Output,
    begun: bool,
    number: u64,
}

/// Writes events, and counts them.
struct Numbered<'a> {
    written: &'a mut Written,
    number: &'a mut u64,
}

impl Numbered<'_> {
    fn event(&mut self, kind: &str, mut data: Value) {
        data["type"] = kind.into();
        data["sequence_number"] = (*self.number).into();
        *self.number += 1;
        self.written.named(kind, &data);
    }
}

impl Told for Numbered<'_> {
    fn begins(&mut self, at: usize, item: &Item) {
        self.event("response.output_item.added", json!({ "output_index": at, "item": item.shown("in_progress") }));
        if item.call.is_none() {
            let part = json!({ "item_id": item.id, "output_index": at, "content_index": 0, "part": item.part() });
            self.event("response.content_part.added", part);
        }
    }

    fn grows(&mut self, at: usize, item: &Item, by: &str) {
        if item.call.is_some() {
            self.event("response.function_call_arguments.delta", json!({ "item_id": item.id, "output_index": at, "delta": by }));
        } else {
            let delta = json!({ "item_id": item.id, "output_index": at, "content_index": 0, "delta": by, "logprobs": [] });
            self.event("response.output_text.delta", delta);
        }
    }

    fn ends(&mut self, at: usize, item: &Item) {
        if let Some(call) = &item.call {
            let done = json!({ "item_id": item.id, "output_index": at, "name": call.name, "arguments": item.text });
            self.event("response.function_call_arguments.done", done);
        } else {
            let place = json!({ "item_id": item.id, "output_index": at, "content_index": 0 });
            let with = |name: &str, value: Value| {
                let mut data = place.clone();
                data[name] = value;
                data
            };
            let mut text = with("text", item.text.as_str().into());
            text["logprobs"] = json!([]);
            self.event("response.output_text.done", text);
            self.event("response.content_part.done", with("part", item.part()));
        }
        self.event("response.output_item.done", json!({ "output_index": at, "item": item.shown("completed") }));
    }
}

impl Events {
    /// `response` knows who answers.
    pub(super) fn new(response: Response) -> Self {
        Self { response, output: Output::default(), begun: false, number: 0 }
    }

    /// Tells first that there is an answer.
    fn begin(&mut self, written: &mut Written) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        let response = self.response.shown(Status::InProgress, &self.output);
        let mut events = Numbered { written, number: &mut self.number };
        for kind in ["response.created", "response.in_progress"] {
            events.event(kind, json!({ "response": response }));
        }
    }

    fn over(&mut self, status: Status, written: &mut Written) {
        let kind = format!("response.{}", status.name());
        let response = self.response.shown(status, &self.output);
        Numbered { written, number: &mut self.number }.event(&kind, json!({ "response": response }));
    }
}

impl Form<ChatResponse> for Events {
    fn piece(&mut self, piece: ChatResponse, written: &mut Written) {
        self.begin(written);
        self.output.add(piece, &mut Numbered { written, number: &mut self.number });
    }

    fn end(&mut self, written: &mut Written) {
        self.begin(written);
        self.output.end(&mut Numbered { written, number: &mut self.number });
        self.over(Status::of(&self.output), written);
    }

    fn error(&mut self, error: ApiError, written: &mut Written) {
        self.begin(written);
        self.over(Status::Failed(error), written);
    }
}

//! A stream of answers, measured message by message: what is delivered counts, whenever the stream is cut.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use torchmesh_api::{
    error::ErrorKind,
    tally::{self, Counted, Kind, Tally},
    usage::Figures,
};

use super::Measured;

/// One stream of answers.
#[derive(Debug)]
pub struct Flow {
    measured: Arc<Measured>,
    kind: Option<Kind>,
    tally: Option<Tally>,
    /// What the headers said.
    head: Figures,
    /// What was added to the call's figures so far.
    added: Figures,
    counted: Counted,
}

impl Flow {
    /// A stream of the method at `path`, of which nothing has come yet.
    pub fn new(measured: Arc<Measured>, path: &str) -> Self {
        let kind = Kind::of(path);
        let (head, added) = (Figures::default(), Figures::default());
        Self { measured, kind, tally: kind.map(Tally::new), head, added, counted: Counted::default() }
    }

    /// The answer's headers.
    pub fn head(&mut self, headers: &HeaderMap) {
        self.head = self.measured.head(headers);
        self.added = self.head;
    }

    /// Bytes that go by, cut as they come.
    pub fn pass(&mut self, data: &Bytes) {
        let Some(tally) = &mut self.tally else { return };
        tally.pass(data);
        self.counted = tally.counted();
        if let Some((model, version)) = tally.answered() {
            self.measured.is_answered_by(model, version);
        }
        self.settle();
    }

    /// A whole message, its prefix taken off.
    pub fn message(&mut self, message: &[u8]) {
        let Some(kind) = self.kind else { return };
        self.counted.add(tally::count(kind, message));
        self.settle();
    }

    /// The stream has ended with an error.
    pub fn fail(&self, kind: ErrorKind) {
        self.measured.fails(kind);
    }

    fn settle(&mut self) {
        let now = figures(self.head, self.counted);
        self.measured.change(self.added, now);
        self.added = now;
    }
}

/// What a stream has used, by its headers and by what has passed.
fn figures(head: Figures, counted: Counted) -> Figures {
    let told = counted.told.map(|told| [told.prompt_tokens, told.cached_tokens, told.completion_tokens].map(u64::from));
    let written = counted.tokens.saturating_sub(head.echoed_tokens);
    // The last message knows more than could be counted: what was in the cache, and answers that were written and not told.
    let [prompt_tokens, cached_tokens, completion_tokens] =
        told.unwrap_or([head.prompt_tokens + counted.prompt_tokens, head.cached_tokens, head.completion_tokens + written]);
    Figures { prompt_tokens, cached_tokens, completion_tokens, items: head.items + counted.items, ..head }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use torchmesh_api::{
        frame,
        headers::X_TORCHMESH_USAGE,
        text::v1::{GenerateResponse, Usage, WrittenToken},
    };

    use super::*;

    const PATH: &str = "/torchmesh.text.v1.GenerationService/Generate";

    fn flow(measured: &Arc<Measured>, usage: &'static str) -> Flow {
        let mut flow = Flow::new(Arc::clone(measured), PATH);
        flow.head(&HeaderMap::from_iter([(X_TORCHMESH_USAGE, HeaderValue::from_static(usage))]));
        flow
    }

    fn piece(tokens: usize) -> GenerateResponse {
        GenerateResponse { tokens: vec![WrittenToken::default(); tokens], ..Default::default() }
    }

    #[test]
    fn a_stream_that_is_cut_has_used_its_prompt_and_what_was_passed_on() {
        let measured = Arc::<Measured>::default();
        let mut flow = flow(&measured, "stories/1 prompt=5 items=1");
        flow.pass(&frame::encode(&piece(3)));
        flow.pass(&frame::encode(&piece(2)));
        let units = measured.units();
        assert_eq!((units.prompt_tokens, units.completion_tokens, units.items), (5, 5, 1));
    }

    #[test]
    fn a_stream_that_is_whole_has_used_what_its_last_message_says() {
        let measured = Arc::<Measured>::default();
        let mut flow = flow(&measured, "stories/1 prompt=5 items=1");
        flow.pass(&frame::encode(&piece(3)));
        let usage = Usage { prompt_tokens: 5, cached_tokens: 4, completion_tokens: 8 };
        flow.pass(&frame::encode(&GenerateResponse { usage: Some(usage), ..Default::default() }));
        let units = measured.units();
        assert_eq!((units.prompt_tokens, units.cached_tokens, units.completion_tokens), (5, 4, 8));
    }

    #[test]
    fn a_prompt_that_is_repeated_was_not_written() {
        let measured = Arc::<Measured>::default();
        let mut flow = flow(&measured, "stories/1 prompt=5 echoed=5");
        flow.pass(&frame::encode(&piece(5)));
        assert_eq!(measured.units().completion_tokens, 0);
        flow.pass(&frame::encode(&piece(1)));
        assert_eq!(measured.units().completion_tokens, 1);
    }

    #[test]
    fn several_streams_of_one_call_add_up() {
        let measured = Arc::<Measured>::default();
        let (mut one, mut other) = (flow(&measured, "stories/1 prompt=5"), flow(&measured, "stories/1 prompt=7"));
        let message = |message: &GenerateResponse| frame::message(frame::encode(message)).unwrap();
        one.message(&message(&piece(2)));
        other.message(&message(&piece(1)));
        one.message(&message(&GenerateResponse {
            usage: Some(Usage { prompt_tokens: 5, cached_tokens: 0, completion_tokens: 3 }),
            ..Default::default()
        }));
        let units = measured.units();
        assert_eq!((units.prompt_tokens, units.completion_tokens), (12, 4));
    }
}

//! How a message goes back: with where its time went and how busy the model is, for whoever chooses where the next one goes, and with what was used, for whoever
//! meters.

use std::{
    fmt::{Arguments, Write as _},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use tonic::{Response, metadata::MetadataMap};
use torchmesh_api::{
    headers::{X_TORCHMESH_COMPUTE_US, X_TORCHMESH_LOAD, X_TORCHMESH_QUEUE_US, X_TORCHMESH_USAGE},
    usage::{Figures, Usage},
};

use crate::{
    admission::{Load, Spent},
    models::{Model, State},
};

/// Where the time of a call went that may run more than one request, and what it has used.
#[derive(Debug, Default)]
pub(super) struct Spending(Mutex<(Spent, Figures)>);

impl Spending {
    /// Adds what a request has spent.
    pub(super) fn add(&self, spent: Spent) {
        let all = &mut self.0.lock().0;
        all.queue += spent.queue;
        all.times += spent.times;
        all.batches += spent.batches;
    }

    /// Adds what was used.
    pub(super) fn count(&self, used: Figures) {
        let all = &mut self.0.lock().1;
        all.prompt_tokens += used.prompt_tokens;
        all.items += used.items;
        all.audio_ms += used.audio_ms;
    }

    /// The answer of a call to `model`.
    pub(super) fn answer<T>(&self, message: T, model: &Model) -> Response<T> {
        let (spent, used) = *self.0.lock();
        answer(message, spent, used, model)
    }
}

/// A message, with the headers that say where its time went, how busy `model` is and what was used.
pub(super) fn answer<T>(message: T, spent: Spent, used: Figures, model: &Model) -> Response<T> {
    let mut headers = HeaderMap::with_capacity(8);
    put(&mut headers, X_TORCHMESH_QUEUE_US, format_args!("{}", micros(spent.queue)));
    put(&mut headers, X_TORCHMESH_COMPUTE_US, format_args!("{}", micros(spent.times.total())));
    put_load(&mut headers, model);
    put_usage(&mut headers, used, model);
    let mut response = Response::new(message);
    *response.metadata_mut() = MetadataMap::from_headers(headers);
    response
}

/// An answer whose time is not known when it begins: with how busy `model` is, and what was used so far.
pub(super) fn used<T>(message: T, used: Figures, model: &Model) -> Response<T> {
    let mut headers = HeaderMap::with_capacity(2);
    put_load(&mut headers, model);
    put_usage(&mut headers, used, model);
    let mut response = Response::new(message);
    *response.metadata_mut() = MetadataMap::from_headers(headers);
    response
}

fn put_load(headers: &mut HeaderMap, model: &Model) {
    let State::Ready(serving) = model.state() else { return };
    let Load { depth, wait_us } = serving.load();
    put(headers, X_TORCHMESH_LOAD, format_args!("depth={depth}, wait-us={wait_us}"));
}

fn put_usage(headers: &mut HeaderMap, figures: Figures, model: &Model) {
    let usage = Usage { model: model.name.as_str(), version: &model.version_text, load: model.load, figures };
    put(headers, X_TORCHMESH_USAGE, format_args!("{usage}"));
}

fn put(headers: &mut HeaderMap, name: HeaderName, text: Arguments<'_>) {
    let mut value = String::with_capacity(40);
    let written = value.write_fmt(text);
    // Digits and plain words are always a valid value.
    if let (Ok(()), Ok(mut value)) = (written, HeaderValue::try_from(value)) {
        // Hardly ever the same twice: not worth a place in the header compression's table.
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

//! How long a caller waits for text.

use std::{sync::Arc, time::Instant};

use torchmesh_api::text::v1::Usage;

use super::{LanguageSeries, Turnover};
use crate::{
    models::{Model, State},
    stats::{Ran, Stats},
};

/// The pace of one request, from its beginning.
#[derive(Debug)]
pub struct Pace {
    series: LanguageSeries,
    ready: Option<(Arc<Stats>, Option<Arc<Turnover>>)>,
    began: Instant,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Pace {
    /// A request begins.
    pub fn begin(model: &Model) -> Self {
        let series = model.metrics.language.model(model.name.as_str(), &model.version_text);
        let ready = match model.state() {
            State::Ready(serving) => Some((Arc::clone(&serving.stats), serving.language().map(|language| Arc::clone(&language.turnover)))),
            State::Loading | State::Unavailable(_) => None,
        };
        Self { series, ready, began: Instant::now(), first: None, last: None }
    }

    /// A piece of text is there.
    pub fn piece(&mut self) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        match self.last.replace(now) {
            None => self.series.first_token.observe((now - self.began).as_secs_f64()),
            Some(last) => self.series.token_gap.observe((now - last).as_secs_f64()),
        }
    }

    /// All answers are complete.
    pub fn end(&self, usage: &Usage) {
        self.series.prompt_tokens.inc_by(usage.prompt_tokens.into());
        self.series.completion_tokens.inc_by(usage.completion_tokens.into());
        let Some((stats, turnover)) = &self.ready else { return };
        stats.ran(&Ran { rows: 1, completed: 1, total: self.began.elapsed(), ..Ran::default() });
        if let (Some(turnover), Some(first)) = (turnover, self.first) {
            turnover.held(first.elapsed());
        }
    }
}

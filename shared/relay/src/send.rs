//! A call, sent to one endpoint after another until one answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Response, uri::PathAndQuery};
use http_body::Body;
use parking_lot::Mutex;
use torchmesh_api::error::{ApiError, ErrorKind};
use torchmesh_retry::RetryBudget;

use crate::{
    BoxError, Group, RelayBody, Source,
    attempt::{Answer, Failure, respond},
    balance::Steering,
    settings::{RelaySettings, RetrySettings},
    shot::Shot,
};

/// When a call that nobody took may come again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A call to pass on.
#[derive(Debug)]
pub struct Call<B> {
    /// The method's path, such as `/inference.GRPCInferenceService/ModelInfer`.
    pub path: PathAndQuery,
    /// The headers for the next hop, `grpc-timeout` excepted: that is written anew for each try.
    pub headers: HeaderMap,
    /// When the caller's time is up.
    pub deadline: Option<Instant>,
    /// Whether the answer is a stream of messages, to be passed on as they come.
    pub streaming: bool,
    /// What decides which endpoint it goes to.
    pub steering: Steering,
    /// The body.
    pub source: Source<B>,
}

/// Sends calls from one data thread.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Which of the endpoints' connections is this thread's.
    pub(crate) lane: usize,
    pub(crate) settings: RetrySettings,
    pub(crate) budget: Arc<RetryBudget>,
    pub(crate) hedges: Arc<RetryBudget>,
}

impl Relay {
    /// A relay for each of `lanes` threads, with one budget for retries and one for hedges.
    pub fn for_threads(lanes: usize, settings: &RelaySettings) -> Vec<Self> {
        let RelaySettings { retry, hedge, .. } = *settings;
        let budget = Arc::new(RetryBudget::new(retry.budget_ratio, retry.budget_reserve));
        let hedges = Arc::new(RetryBudget::new(hedge.budget_ratio, hedge.budget_reserve));
        let relay = |lane| Self { lane, settings: retry, budget: Arc::clone(&budget), hedges: Arc::clone(&hedges) };
        (0..lanes).map(relay).collect()
    }

    /// A relay by another lane that asks one endpoint once: nothing is sent again after a failure, and nothing twice.
    #[must_use]
    pub fn once(&self, lane: usize) -> Self {
        let none = || Arc::new(RetryBudget::new(0.0, 0));
        Self { lane, settings: RetrySettings { max_attempts: 1, ..self.settings }, budget: none(), hedges: none() }
    }

    /// Which of the endpoints' connections is this relay's.
    pub fn lane(&self) -> usize {
        self.lane
    }

    /// How many bytes of a request to keep for another try.
    pub fn keep_bytes(&self) -> usize {
        self.settings.keep_bytes
    }

    /// Sends the call to one of the group's endpoints, and to others while endpoints fail or are slow, the budgets allow and the deadline has
    /// not passed.
    ///
    /// Errors: RESOURCE_EXHAUSTED when all endpoints have as many calls as they may have, UNAVAILABLE when none took the call. An endpoint's own UNAVAILABLE is passed on when nobody did better.
    pub async fn send<B>(&self, call: Call<B>, group: &Arc<Group>) -> Result<Response<RelayBody<B>>, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        self.budget.deposit();
        self.hedges.deposit();
        let Call { path, headers, deadline, streaming, steering, source } = call;
        let shot = Shot { relay: self, group, path, headers, deadline, streaming, steering };
        let source = Mutex::new(source);
        let mut tried: Vec<usize> = Vec::new();
        let mut last_answer: Option<Box<Answer>> = None;
        for number in 1.. {
            let is_last = number >= self.settings.max_attempts;
            match shot.fire(&source, &mut tried, is_last).await {
                None => break,
                Some(Ok((answer, copy))) => return Ok(respond(answer, copy.unwrap_or_else(|| source.into_inner()))),
                Some(Err(Failure::CallerLeft)) => return Err(ApiError::new(ErrorKind::Cancelled, "the caller left")),
                // Nothing was done, so nothing is repeated: no budget is needed, only another endpoint.
                Some(Err(Failure::NotBegun)) => {}
                // It was given up for the try that follows, which is paid for.
                Some(Err(Failure::Silent)) => group.metrics.retried(),
                Some(Err(failure)) => {
                    if let Failure::Unavailable(answer) = failure {
                        last_answer = Some(answer);
                    }
                    if is_last || !source.lock().can_replay() || !self.budget.withdraw() {
                        break;
                    }
                    group.metrics.retried();
                }
            }
            if !source.lock().can_replay() || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                break;
            }
            source.lock().rewind();
        }
        match last_answer {
            Some(answer) => Ok(respond(*answer, source.into_inner())),
            // None was even tried, though there are some: nothing but their limits keeps a call from them.
            None if tried.is_empty() && !group.is_empty() => Err(full()),
            None => Err(ApiError::new(ErrorKind::Unavailable, "no instance could answer; try again").retry_after(AGAIN_AFTER)),
        }
    }
}

fn full() -> ApiError {
    let message = "every instance has as many calls as it answers in good time (limits.adaptive); try again later, or add instances";
    ApiError::new(ErrorKind::ResourceExhausted, message).retry_after(AGAIN_AFTER)
}

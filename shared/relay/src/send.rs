//! A call, sent to one endpoint after another until one answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, uri::PathAndQuery, uri::Scheme};
use http_body::Body;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    headers, timeout,
};

use crate::{
    BoxError, Endpoint, RelayBody, Source,
    attempt::{Answer, Failure, attempt, respond},
    budget::RetryBudget,
    pick,
};

/// When and how often a call is tried again.
#[derive(Debug, Clone, Copy)]
pub struct RetrySettings {
    /// Tries of one call, the first included. 1 switches retries off.
    pub max_attempts: u32,
    /// Retries earned by each call.
    pub budget_ratio: f64,
    /// Retries that can be saved up; covers the calls that a lost endpoint had in flight.
    pub budget_reserve: u32,
    /// The most bytes of one request that are kept for another try. A larger one is tried once.
    pub keep_bytes: usize,
}

/// The answer to a unary call is held back up to this size, so that an endpoint that dies while it answers can still be replaced.
const HOLD_UNARY: usize = 256 << 10;

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
    /// The body.
    pub source: Source<B>,
}

/// Sends calls from one data thread.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Which of the endpoints' connections is this thread's.
    lane: usize,
    settings: RetrySettings,
    budget: Arc<RetryBudget>,
}

impl Relay {
    /// A relay for each of `lanes` threads, with one retry budget.
    pub fn for_threads(lanes: usize, settings: RetrySettings) -> Vec<Self> {
        let budget = Arc::new(RetryBudget::new(settings.budget_ratio, settings.budget_reserve));
        (0..lanes).map(|lane| Self { lane, settings, budget: Arc::clone(&budget) }).collect()
    }

    /// How many bytes of a request to keep for another try.
    pub fn keep_bytes(&self) -> usize {
        self.settings.keep_bytes
    }

    /// Sends the call to one of `endpoints`, and to others while the endpoints fail, the budget allows and the deadline has not passed.
    ///
    /// Errors: UNAVAILABLE when no endpoint took the call. An endpoint's own UNAVAILABLE is passed on when nobody did better.
    pub async fn send<B>(&self, mut call: Call<B>, endpoints: &[Arc<Endpoint>]) -> Result<Response<RelayBody<B>>, ApiError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        self.budget.deposit();
        let hold = if call.streaming { 0 } else { HOLD_UNARY };
        let mut tried: Vec<usize> = Vec::new();
        let mut last_answer: Option<Box<Answer>> = None;
        for number in 1.. {
            let Some(at) = choose(endpoints, &tried) else { break };
            let head = head(&call, &endpoints[at]);
            match attempt(&endpoints[at], self.lane, head, &mut call.source, hold).await {
                Ok(answer) => return Ok(respond(answer, call.source)),
                Err(Failure::CallerLeft) => return Err(ApiError::new(ErrorKind::Cancelled, "the caller left")),
                // Nothing was done, so nothing is repeated: no budget is needed, only another endpoint.
                Err(Failure::NotBegun) => tried.push(at),
                Err(failure) => {
                    if let Failure::Unavailable(answer) = failure {
                        last_answer = Some(answer);
                    }
                    tried.push(at);
                    if number >= self.settings.max_attempts || !call.source.can_replay() || !self.budget.withdraw() {
                        break;
                    }
                }
            }
            if !call.source.can_replay() || call.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                break;
            }
            call.source.rewind();
        }
        match last_answer {
            Some(answer) => Ok(respond(*answer, call.source)),
            None => {
                Err(ApiError::new(ErrorKind::Unavailable, "no instance could answer; try again").retry_after(Duration::from_millis(100)))
            }
        }
    }
}

/// An endpoint that was not tried yet; one whose connections fail only when there is no other.
fn choose(endpoints: &[Arc<Endpoint>], tried: &[usize]) -> Option<usize> {
    let untried = |at: usize| !tried.contains(&at);
    let load = |at: usize| endpoints[at].in_flight();
    let draw = |below| fastrand::usize(..below);
    pick::power_of_two(endpoints.len(), |at| untried(at) && !endpoints[at].is_paused(), load, draw)
        .or_else(|| pick::power_of_two(endpoints.len(), untried, load, draw))
}

pub(crate) fn head<B>(call: &Call<B>, endpoint: &Endpoint) -> Request<()> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(endpoint.authority.clone());
    parts.path_and_query = Some(call.path.clone());
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    // Scheme, authority and path are all there, which is the one thing that `from_parts` asks for.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.headers_mut() = call.headers.clone();
    if let Some(deadline) = call.deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Ok(mut value) = HeaderValue::try_from(timeout::format(left)) {
            // Never the same twice: not worth a place in the header compression's table.
            value.set_sensitive(true);
            request.headers_mut().insert(headers::GRPC_TIMEOUT, value);
        }
    }
    request
}

//! Copies of calls for a route's shadow.
//!
//! A copy is made when the caller's own answer is complete, on the control thread and over connections of its own: no caller waits for it. It is sent once, to one
//! instance, with the lowest priority and the time that the caller's call has left, and says that it is a copy. What does not fit (too many at once, too large) is not
//! copied, and counted. Only unary calls that compute something are copied.

mod compare;
mod tensors;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, uri::PathAndQuery};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    frame,
    headers::{
        X_TORCHMESH_ASKED_FOR, X_TORCHMESH_MIRRORED, X_TORCHMESH_MODEL, X_TORCHMESH_MODEL_VERSION, X_TORCHMESH_PRIORITY, X_TORCHMESH_TENANT,
    },
};
use torchmesh_relay::{Call, Copied, Relay, Source};
use torchmesh_runtime::config::{ByteSize, Section};

use crate::{routes::shadow::Shadow, table::Target};

/// How long a copy may take whose caller has set no limit.
const UNLIMITED: Duration = Duration::from_secs(60);

/// What copies may use.
#[derive(Debug, Clone, Copy)]
pub struct ShadowSettings {
    /// `shadow.max_in_flight`: copies at once. Default 64; 0 switches them off.
    pub max_in_flight: usize,
    /// `shadow.max_message`: the largest request, and the largest answer, of a call that is copied. Default 1MiB.
    pub max_message: ByteSize,
}

impl ShadowSettings {
    /// Reads the table `shadow`.
    pub fn read(s: &mut Section) -> Self {
        s.section("shadow", |s| Self { max_in_flight: s.or("max_in_flight", 64), max_message: s.or("max_message", ByteSize::mib(1)) })
    }
}

/// Makes the copies of all data threads.
#[derive(Debug, Clone)]
pub struct Mirror(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    relay: Relay,
    control: Handle,
    room: Arc<Semaphore>,
    max_message: usize,
    sent: Counter,
    left_out: Counter,
    compared: Family<Compared, Counter>,
}

/// The version that was copied to, and whether its answer agreed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Compared {
    model: String,
    version: String,
    agrees: &'static str,
}

impl Compared {
    fn of(target: &Target, agrees: bool) -> Self {
        let version = target.version.to_str().unwrap_or_default().to_owned();
        Self { model: target.model.to_string(), version, agrees: if agrees { "true" } else { "false" } }
    }
}

impl Mirror {
    /// Sends by `relay`, which asks once, from the control thread.
    pub fn new(relay: Relay, control: Handle, settings: ShadowSettings) -> Self {
        let room = Arc::new(Semaphore::new(settings.max_in_flight.min(Semaphore::MAX_PERMITS)));
        let (sent, left_out) = (Counter::default(), Counter::default());
        Self(Arc::new(Inner { relay, control, room, max_message: settings.max_message.0, sent, left_out, compared: Family::default() }))
    }

    /// Registers `torchmesh_router_mirrored_total`, `…_mirrored_left_out_total` and `…_mirrored_answers_total`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("torchmesh_router_mirrored", "Copies of calls that were sent to a route's shadow", self.0.sent.clone());
        let help = "Calls that were not copied to a route's shadow: too many at once, or too large";
        registry.register("torchmesh_router_mirrored_left_out", help, self.0.left_out.clone());
        let help = "Answers of shadows that were compared with the callers', by whether they agree";
        registry.register("torchmesh_router_mirrored_answers", help, self.0.compared.clone());
    }

    /// Begins to copy a call's body, if it is a call that is copied and there is room.
    pub fn begin<B>(&self, path: &str, shadow: (Target, Shadow), source: &mut Source<B>) -> Option<Begun> {
        if !compare::can(path) {
            return None;
        }
        let Ok(permit) = Arc::clone(&self.0.room).try_acquire_owned() else {
            self.0.left_out.inc();
            return None;
        };
        let request = source.copied(self.0.max_message);
        Some(Begun { mirror: self.clone(), permit, shadow, request })
    }
}

/// A copy whose call has not been put together.
#[derive(Debug)]
pub struct Begun {
    mirror: Mirror,
    permit: OwnedSemaphorePermit,
    shadow: (Target, Shadow),
    request: Copied,
}

impl Begun {
    /// The copy of this call.
    pub fn of<B>(self, call: &Call<B>) -> Box<Copy> {
        let Self { mirror, permit, shadow: (target, shadow), request } = self;
        let mut headers = call.headers.clone();
        headers.remove(X_TORCHMESH_TENANT);
        // The name that the message has: the caller's own, where the route had to tell it to the worker.
        let named = headers.remove(X_TORCHMESH_ASKED_FOR).or_else(|| headers.get(X_TORCHMESH_MODEL).cloned());
        if let Some(named) = named.filter(|named| *named != target.name) {
            headers.insert(X_TORCHMESH_ASKED_FOR, named);
        }
        headers.insert(X_TORCHMESH_MODEL, target.name.clone());
        headers.insert(X_TORCHMESH_MODEL_VERSION, target.version.clone());
        headers.insert(X_TORCHMESH_PRIORITY, HeaderValue::from_static("low"));
        headers.insert(X_TORCHMESH_MIRRORED, HeaderValue::from_static("1"));
        let (path, deadline) = (call.path.clone(), call.deadline);
        Box::new(Copy { mirror, permit, target, shadow, request, headers, path, deadline, answer: VecDeque::new(), answered: 0 })
    }
}

/// A copy, and the caller's answer as it comes.
#[derive(Debug)]
pub struct Copy {
    mirror: Mirror,
    permit: OwnedSemaphorePermit,
    target: Target,
    shadow: Shadow,
    request: Copied,
    headers: HeaderMap,
    path: PathAndQuery,
    deadline: Option<Instant>,
    answer: VecDeque<Bytes>,
    answered: usize,
}

impl Copy {
    /// A piece of the caller's answer. False when it has become too large to be compared.
    pub fn answered(&mut self, data: &Bytes) -> bool {
        self.answered += data.len();
        self.answer.push_back(data.clone());
        let fits = self.answered <= self.mirror.0.max_message;
        if !fits {
            self.mirror.0.left_out.inc();
        }
        fits
    }

    /// The caller has the whole answer: now it is the shadow's turn.
    pub fn send(self: Box<Self>) {
        let Self { mirror, permit, target, shadow, request, headers, path, deadline, answer, .. } = *self;
        let Some(request) = request.take() else {
            mirror.0.left_out.inc();
            return;
        };
        mirror.0.sent.inc();
        let control = mirror.0.control.clone();
        control.spawn(async move {
            let deadline = deadline.unwrap_or_else(|| Instant::now() + UNLIMITED);
            let reply = mirror.0.relay.unary_at(path.clone(), headers, request, deadline, &target.group).await;
            if let Some(agrees) = agrees(&path, &shadow, answer, reply.map(|reply| reply.message)) {
                target.watched.compared(agrees);
                mirror.0.compared.get_or_create(&Compared::of(&target, agrees)).inc();
            }
            drop(permit);
        });
    }
}

/// Whether the shadow's answer agrees with the caller's. `None`: it says nothing, since the shadow was too busy or not there, or the answer is of no form that is compared.
fn agrees(path: &PathAndQuery, shadow: &Shadow, callers: VecDeque<Bytes>, shadows: Result<Bytes, ApiError>) -> Option<bool> {
    let shadows = match shadows {
        Ok(message) => message,
        Err(error) if says_nothing(error.kind) => return None,
        // The caller was answered, and would not have been.
        Err(_) => return Some(false),
    };
    let callers = callers.into_iter().fold(BytesMut::new(), |mut joined, piece| {
        joined.extend_from_slice(&piece);
        joined
    });
    compare::agree(path.path(), shadow, frame::message(callers.freeze())?, shadows)
}

fn says_nothing(kind: ErrorKind) -> bool {
    matches!(
        kind.code(),
        tonic::Code::Unavailable | tonic::Code::DeadlineExceeded | tonic::Code::ResourceExhausted | tonic::Code::Cancelled
    )
}

//! One address of the mesh.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::{body::Body, transport::Channel};
use torchmesh_retry::Backoff;
use tower::ServiceExt as _;

use super::choice::Load;
use crate::{BoxError, ConnectError, connection::Dialer};

const REST: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(10) };

/// One address of the mesh, and how it does.
#[derive(Debug)]
pub(super) struct Lane {
    dialer: Dialer,
    channel: Channel,
    in_flight: Arc<AtomicUsize>,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    failures: u32,
    rests_until: Option<Instant>,
}

impl Lane {
    pub(super) fn new(dialer: Dialer, channel: Channel) -> Self {
        Self { dialer, channel, in_flight: Arc::default(), health: Mutex::default() }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.dialer.address
    }

    /// Whether somebody answers there.
    pub(super) async fn reach(&self) -> Result<(), ConnectError> {
        let unreachable =
            |error: std::io::Error| ConnectError::Unreachable { address: self.address().to_string(), what: error.to_string() };
        self.dialer.clone().dial().await.map(drop).map_err(unreachable)
    }

    pub(super) fn load(&self, now: Instant) -> Load {
        let resting = self.health().rests_until.is_some_and(|until| now < until);
        Load { in_flight: self.in_flight.load(Ordering::Relaxed), resting }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Counted>, BoxError> {
        let place = Place::take(&self.in_flight);
        let answer = self.channel.clone().oneshot(request).await?;
        Ok(answer.map(|body| Counted { body, _place: place }))
    }

    pub(super) fn answered(&self) {
        *self.health() = Health::default();
    }

    pub(super) fn failed(&self, draw: f64) {
        let mut health = self.health();
        let now = Instant::now();
        // The calls that one broken connection had under way are one failure.
        if health.rests_until.is_none_or(|until| until <= now) {
            health.failures = health.failures.saturating_add(1);
            health.rests_until = Some(now + REST.pause(health.failures, 0.5 + draw / 2.0));
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a call as long as it lasts.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer; its call counts as under way until it is dropped.
#[derive(Debug)]
pub struct Counted {
    body: Body,
    _place: Place,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! One address of the mesh.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::sleep;
use tonic::{body::Body, transport::Channel};
use torchmesh_retry::Backoff;
use tower::ServiceExt as _;

use super::choice::Load;
use crate::{BoxError, ConnectError, connection::Dialer, origin::Origin};

/// How long a lane that failed is left alone before somebody looks.
const REST: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(10) };

/// One address of the mesh, and how it does.
#[derive(Debug)]
pub(super) struct Lane {
    /// The name that stands for it.
    origin: Origin,
    dialer: Dialer,
    channel: Channel,
    in_flight: Arc<AtomicUsize>,
    /// Nobody has answered there yet, or not since it failed: it takes no call while another lane does.
    resting: AtomicBool,
}

impl Lane {
    /// It rests until it is [`met`](Self::meet).
    pub(super) fn new(origin: Origin, dialer: Dialer, channel: Channel) -> Self {
        Self { origin, dialer, channel, in_flight: Arc::default(), resting: AtomicBool::new(true) }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.dialer.address
    }

    /// Sees for the first time whether somebody answers there, and goes on looking where nobody does.
    pub(super) async fn meet(self: Arc<Self>) -> Result<(), ConnectError> {
        let met = self.reach().await;
        if met.is_err() {
            self.look_again();
        }
        met
    }

    async fn reach(&self) -> Result<(), ConnectError> {
        let unreachable =
            |error: std::io::Error| ConnectError::Unreachable { address: self.address().to_string(), what: error.to_string() };
        self.dialer.clone().dial().await.map_err(unreachable)?;
        self.answered();
        Ok(())
    }

    pub(super) fn load(&self) -> Load {
        Load { in_flight: self.in_flight.load(Ordering::Relaxed), resting: self.resting.load(Ordering::Relaxed) }
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Counted>, BoxError> {
        let place = Place::take(&self.in_flight);
        let answer = self.channel.clone().oneshot(request).await?;
        Ok(answer.map(|body| Counted { body, _place: place }))
    }

    pub(super) fn answered(&self) {
        self.resting.store(false, Ordering::Relaxed);
    }

    /// It could not be reached, or broke off. The calls that one broken connection had under way are one failure.
    pub(super) fn failed(self: &Arc<Self>) {
        if !self.resting.swap(true, Ordering::Relaxed) {
            self.look_again();
        }
    }

    fn look_again(self: &Arc<Self>) {
        tokio::spawn(look(Arc::downgrade(self)));
    }
}

/// Looks whether somebody answers there, so that no caller has to find out; until one does, or the lane is used no more.
async fn look(lane: Weak<Lane>) {
    for failures in 1.. {
        sleep(REST.pause(failures, 0.5 + fastrand::f64() / 2.0)).await;
        let Some(lane) = lane.upgrade() else { return };
        if !lane.load().resting || lane.reach().await.is_ok() {
            return;
        }
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

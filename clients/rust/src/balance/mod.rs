//! One channel over every address of the mesh.

mod choice;
mod follow;
mod lane;

use std::{
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::{sync::Notify, task::JoinSet};
use tonic::{Code, body::Body};
use tower::Service;

pub(crate) use follow::Targets;
pub use lane::Counted;

use crate::{BoxError, BoxFuture, ConnectError, failure};
use choice::choose;
use lane::Lane;

/// One channel over every address of the mesh, for any number of calls at once; clones share its connections.
///
/// Each address has one HTTP/2 connection, opened when it is needed. A call goes to the less busy of two that are drawn by chance. An address that cannot
/// be reached or that breaks off takes no call while another does, until somebody answers there again, which is looked for after 0.1 to 10 seconds. Names
/// are looked up again every 30 seconds, and after a failure.
#[derive(Debug, Clone)]
pub struct Balance {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lanes: RwLock<Arc<[Arc<Lane>]>>,
    /// Something went wrong: the names may stand for other addresses by now.
    troubled: Notify,
}

impl Balance {
    /// Looks the names up, and follows them as long as the channel is used.
    ///
    /// Error: no name could be looked up; or, where it is `awaited`, nobody answers at any address.
    pub(crate) async fn open(targets: Targets, awaited: bool) -> Result<Self, ConnectError> {
        let lanes = targets.lanes(&[]).await?;
        let mut meetings: JoinSet<_> = lanes.iter().map(|lane| Arc::clone(lane).meet()).collect();
        let shared = Arc::new(Shared { lanes: RwLock::new(lanes.into()), troubled: Notify::new() });
        if awaited {
            first(&mut meetings).await?;
        }
        meetings.detach_all();
        if targets.may_change() {
            tokio::spawn(follow::follow(targets, Arc::downgrade(&shared)));
        }
        Ok(Self { shared })
    }
}

/// Waits until somebody answers at one address, or nobody does at any.
async fn first(meetings: &mut JoinSet<Result<(), ConnectError>>) -> Result<(), ConnectError> {
    let mut outcome = Err(ConnectError::Unreachable { address: "the mesh".to_owned(), what: "its name has no address".to_owned() });
    while let Some(met) = meetings.join_next().await {
        match met {
            Ok(Ok(())) => return Ok(()),
            Ok(error) => outcome = error,
            Err(panicked) => tracing::error!(%panicked, "an address could not be tried"),
        }
    }
    outcome
}

impl Shared {
    fn lanes(&self) -> Arc<[Arc<Lane>]> {
        Arc::clone(&self.lanes.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, lanes: Vec<Arc<Lane>>) {
        *self.lanes.write().unwrap_or_else(PoisonError::into_inner) = lanes.into();
    }
}

impl Service<Request<Body>> for Balance {
    type Response = Response<Counted>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Which connection is to be waited for is chosen call by call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let lanes = shared.lanes();
            let loads: Vec<_> = lanes.iter().map(|lane| lane.load()).collect();
            let chosen = choose(&loads, [fastrand::usize(..), fastrand::usize(..)]);
            let Some(lane) = chosen.and_then(|at| lanes.get(at)) else {
                return Err(tonic::Status::unavailable("the mesh's name has no address").into());
            };
            let answer = lane.send(request).await.map_err(failure::status);
            if answer.as_ref().is_err_and(|status| status.code() == Code::Unavailable) {
                lane.failed();
                shared.troubled.notify_one();
            } else if answer.is_ok() {
                lane.answered();
            }
            Ok(answer?)
        })
    }
}

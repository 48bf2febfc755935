//! `torchmesh.accounts.v1.IdentityService`: a stream to each gateway.

use std::{pin::Pin, time::Duration};

use futures_util::Stream;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use torchmesh_api::accounts::v1::{
    WatchRequest, WatchResponse,
    identity_service_server::{IdentityService, IdentityServiceServer},
};

use super::{Ground, tell};
use crate::{
    clock::now_ms,
    credentials::{Feed, Since, feed},
    error::{Refusal, Result},
};

/// A message comes at least so often.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The most credentials of one message.
const AT_ONCE: usize = 1000;

/// See the module.
#[derive(Debug, Clone)]
pub struct Identity(Ground);

impl Identity {
    /// The service.
    pub fn service(ground: Ground) -> IdentityServiceServer<Self> {
        IdentityServiceServer::new(Self(ground))
    }
}

type Messages = mpsc::Sender<std::result::Result<WatchResponse, Status>>;

#[tonic::async_trait]
impl IdentityService for Identity {
    type WatchStream = Pin<Box<dyn Stream<Item = std::result::Result<WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<WatchRequest>) -> std::result::Result<Response<Self::WatchStream>, Status> {
        self.0.access.is_gateway(request.metadata())?;
        let WatchRequest { origin, revision } = request.into_inner();
        // A gateway that does not read is not waited for with more than these.
        let (messages, receiver) = mpsc::channel(4);
        tokio::spawn(watch(self.0.clone(), Since { origin, revision }, messages));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Tells what there is, and then what changes, for as long as somebody listens.
async fn watch(ground: Ground, mut since: Since, messages: Messages) {
    let mut revision = ground.store.revision();
    let mut told = false;
    loop {
        revision.mark_unchanged();
        match feed(&ground.store, &since, now_ms()).await {
            Ok(feed) => {
                since = feed.to.clone();
                told = true;
                for message in packed(&feed) {
                    if messages.send(message.map_err(Into::into)).await.is_err() {
                        return;
                    }
                }
            }
            // Nothing can change while the database is away: what was told stays true.
            Err(Refusal::Away) if told => {
                if messages.send(Ok(heartbeat(&since))).await.is_err() {
                    return;
                }
            }
            Err(refusal) => {
                // Whoever listens no more needs no reason.
                let _ = messages.send(Err(refusal.into())).await;
                return;
            }
        }
        tokio::select! {
            // Its sender lives as long as the store.
            _ = timeout(HEARTBEAT, revision.changed()) => {}
            () = messages.closed() => return,
            () = ground.drain.draining() => return,
        }
    }
}

fn heartbeat(since: &Since) -> WatchResponse {
    WatchResponse {
        origin: since.origin.clone(),
        revision: since.revision,
        complete: true,
        heartbeat_ms: u64::try_from(HEARTBEAT.as_millis()).unwrap_or_default().cast_signed(),
        ..WatchResponse::default()
    }
}

/// One message at least; the first says whether it is a snapshot, the last that nothing is missing.
fn packed(feed: &Feed) -> impl Iterator<Item = Result<WatchResponse>> {
    let count = feed.known.len().max(feed.gone.len()).div_ceil(AT_ONCE).max(1);
    (0..count).map(move |at| {
        let known = feed.known.iter().skip(at * AT_ONCE).take(AT_ONCE);
        Ok(WatchResponse {
            snapshot: feed.snapshot && at == 0,
            credentials: known.map(tell::known).collect::<Result<_>>()?,
            gone: feed.gone.iter().skip(at * AT_ONCE).take(AT_ONCE).cloned().collect(),
            complete: at + 1 == count,
            ..heartbeat(&feed.to)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_comes_in_parts_of_which_the_first_and_the_last_say_so() {
        let to = Since { origin: "o".into(), revision: 7 };
        let gone: Vec<String> = (0..2500).map(|at| at.to_string()).collect();
        let parts: Vec<WatchResponse> =
            packed(&Feed { to: to.clone(), snapshot: true, known: Vec::new(), gone: gone.clone() }).map(|part| part.unwrap()).collect();
        assert_eq!(
            parts.iter().map(|part| (part.snapshot, part.complete)).collect::<Vec<_>>(),
            [(true, false), (false, false), (false, true)]
        );
        assert_eq!(parts.into_iter().flat_map(|part| part.gone).collect::<Vec<_>>(), gone);
        let nothing: Vec<_> = packed(&Feed { to, snapshot: false, known: Vec::new(), gone: Vec::new() }).collect();
        assert!(nothing.len() == 1 && nothing[0].as_ref().unwrap().complete);
    }
}

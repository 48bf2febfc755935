//! Events that are sent to the accounts.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};
use torchmesh_api::usage::v1::{
    RecordRequest, RecordResponse, UsageEvent,
    usage_service_server::{UsageService, UsageServiceServer},
};
use torchmesh_tests::{bounded, eventually, instance::Signal, ledger::Ledger, raw::Connection, sandbox::TENANT};

use super::{mesh, noop, upstream};

/// Accounts that fail at first, and keep what they took.
#[derive(Clone, Default)]
struct Accounts {
    asked: Arc<AtomicUsize>,
    kept: Arc<Mutex<Vec<UsageEvent>>>,
}

const FAILURES: usize = 3;

#[tonic::async_trait]
impl UsageService for Accounts {
    async fn record(&self, request: Request<RecordRequest>) -> Result<Response<RecordResponse>, Status> {
        match self.asked.fetch_add(1, Ordering::Relaxed) {
            0 => return Err(Status::unavailable("not yet")),
            // It was kept, and the sender does not learn of it.
            asked if asked < FAILURES => {
                self.kept.lock().unwrap().extend(request.into_inner().events);
                return Err(Status::unavailable("the answer was lost"));
            }
            _ => self.kept.lock().unwrap().extend(request.into_inner().events),
        }
        Ok(Response::new(RecordResponse {}))
    }
}

#[test]
fn the_accounts_get_every_event_at_least_once_whatever_fails_on_the_way() {
    bounded(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, accounts) = (listener.local_addr().unwrap(), Accounts::default());
        let service = UsageServiceServer::new(accounts.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
        let (ledger, upstream) = (Ledger::default(), upstream().await);
        let mut mesh = mesh(&ledger, &upstream, &[("metering.accounts", &format!("http://{address}"))]).await;
        let mut wanted = BTreeSet::new();
        for round in 0..3 {
            let connection = Connection::open(mesh.gateway()).await.unwrap();
            for number in 0..10 {
                let request = format!("{round}-{number}");
                connection.call(&noop(&request)).await.unwrap();
                wanted.insert(request);
            }
            mesh.gateways[0].signal(Signal::KILL);
            mesh.start_again("gateway", 0).await;
        }
        let kept = eventually("the accounts have every call", Duration::from_secs(30), async || {
            let kept = accounts.kept.lock().unwrap().clone();
            let there: BTreeSet<String> = kept.iter().map(|event| event.request_id.clone()).collect();
            (wanted.is_subset(&there) && accounts.asked.load(Ordering::Relaxed) > FAILURES).then_some(kept)
        })
        .await;
        let ids: BTreeSet<&[u8]> = kept.iter().map(|event| &*event.id).collect();
        assert_eq!(ids.len(), wanted.len(), "one id a call, however often it was sent");
        assert!(kept.len() > wanted.len(), "some came twice");
        let event = &kept[0];
        assert_eq!((&*event.tenant, &*event.credential, &*event.model, &*event.model_version), (TENANT, "test", "noop", "1"));
        assert_eq!(event.units.unwrap().prompt_tokens, 4);
        assert_eq!((event.id.len(), event.trace_id.len(), event.code), (16, 16, 0));
    });
}

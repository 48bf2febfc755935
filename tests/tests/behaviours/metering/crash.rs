//! A gateway that is killed at any instant.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::task::JoinSet;
use tonic::Code;
use torchmesh_tests::{
    bounded_by, eventually,
    instance::Signal,
    ledger::{Ledger, text},
    raw::Connection,
};

use super::{mesh, noop, upstream};

const KILLS: usize = 50;
const CALLERS: usize = 8;

/// What the callers know of their calls.
#[derive(Default)]
struct Log {
    /// Answered to the last byte.
    answered: BTreeSet<String>,
    /// Broken off: whether they were answered, nobody here knows.
    broken: BTreeSet<String>,
}

/// Calls one after the other until the connection breaks.
async fn call(address: SocketAddr, prefix: String, log: Arc<Mutex<Log>>) {
    let Ok(connection) = Connection::open(address).await else { return };
    for number in 0.. {
        let request = format!("{prefix}-{number}");
        let answered = connection.call(&noop(&request)).await;
        let mut log = log.lock().unwrap();
        let Ok(answer) = answered else {
            log.broken.insert(request);
            return;
        };
        assert_eq!(answer.status().code(), Code::Ok, "{:?}", answer.status());
        log.answered.insert(request);
    }
}

#[test]
fn a_gateway_that_is_killed_again_and_again_loses_no_answered_call_and_counts_none_twice() {
    bounded_by(Duration::from_secs(480), async {
        let (ledger, upstream) = (Ledger::default(), upstream().await);
        let mut mesh = mesh(&ledger, &upstream, &[]).await;
        let log = Arc::<Mutex<Log>>::default();
        for kill in 0..KILLS {
            let before = log.lock().unwrap().answered.len();
            let mut callers = JoinSet::new();
            for caller in 0..CALLERS {
                callers.spawn(call(mesh.gateway(), format!("{kill}-{caller}"), Arc::clone(&log)));
            }
            // Another number of answers each time, so that the kill finds the gateway at another instant.
            let enough = before + 37 + (kill * 53) % 211;
            eventually("calls are answered", Duration::from_secs(20), async || {
                (log.lock().unwrap().answered.len() >= enough).then_some(())
            })
            .await;
            mesh.gateways[0].signal(Signal::KILL);
            callers.join_all().await;
            mesh.start_again("gateway", 0).await;
        }
        let Log { answered, broken } = std::mem::take(&mut *log.lock().unwrap());
        let lines = ledger.has(answered.iter().cloned()).await;
        let mut counts = BTreeMap::<String, usize>::new();
        for line in &lines {
            *counts.entry(text(line, "request_id")).or_default() += 1;
        }
        let twice: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "counted twice: {twice:?}");
        let made_up: Vec<_> = counts.keys().filter(|request| !answered.contains(*request) && !broken.contains(*request)).collect();
        assert!(made_up.is_empty(), "nobody made these calls: {made_up:?}");
        assert!(broken.len() <= KILLS * CALLERS);
        audited(&ledger, &lines).await;
    });
}

/// The audit log has the same calls, each once, and is whole.
async fn audited(ledger: &Ledger, lines: &[Value]) {
    let all: BTreeSet<String> = lines.iter().map(|line| text(line, "id")).collect();
    eventually("the audit log has every call", Duration::from_secs(20), async || {
        let records: Vec<String> = ledger.records().iter().map(|record| text(record, "event")).collect();
        (records.len() >= all.len()).then_some(records)
    })
    .await;
    let records: Vec<String> = ledger.records().iter().map(|record| text(record, "event")).collect();
    let once: BTreeSet<String> = records.iter().cloned().collect();
    assert_eq!((records.len(), &once), (once.len(), &all));
    let folder = ledger.folder().join("audit");
    let (whole, said) = torchmesh_tests::ledger::meshctl(&["audit", "verify", folder.to_str().unwrap()]);
    assert!(whole && said.contains(&format!("records 1 to {}", all.len())), "{said}");
}

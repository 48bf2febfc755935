//! A disk on which nothing more can be written. A limit on the size of the gateway's files stands in for it.

use std::{collections::BTreeSet, time::Duration};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tonic::Code;
use torchmesh_tests::{
    MeshSandbox, bounded, eventually,
    ledger::{Ledger, text},
    raw::Connection,
};

use super::{mesh, noop, upstream};

/// Lets the gateway's files grow to so many bytes, or as they like.
fn limit(mesh: &MeshSandbox, bytes: Option<u64>) {
    let pid = i32::try_from(mesh.gateways[0].pid()).ok().and_then(Pid::from_raw);
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("a process of ours");
}

/// Calls until one is refused; those that were answered.
async fn until_refused(mesh: &MeshSandbox, prefix: &str) -> BTreeSet<String> {
    let connection = Connection::open(mesh.gateway()).await.unwrap();
    let mut answered = BTreeSet::new();
    for number in 0..20_000 {
        let request = format!("{prefix}-{number}");
        let answer = connection.call(&noop(&request)).await.unwrap();
        match answer.status().code() {
            Code::Ok => answered.insert(request),
            Code::Unavailable => {
                assert!(answer.status().message().contains("cannot be recorded"), "{:?}", answer.status());
                return answered;
            }
            code => panic!("{code}: {:?}", answer.status()),
        };
    }
    panic!("the disk never becomes full");
}

#[test]
fn calls_are_refused_while_nothing_can_be_written_and_what_was_answered_is_kept() {
    bounded(async {
        let (ledger, upstream) = (Ledger::default(), upstream().await);
        let mesh = mesh(&ledger, &upstream, &[]).await;
        limit(&mesh, Some(40_000));
        let mut answered = until_refused(&mesh, "before").await;
        assert!(answered.len() > 20, "{} calls were answered before the disk was full", answered.len());
        // Refused at once, without a word to the model.
        let asked = upstream.seen().len();
        let connection = Connection::open(mesh.gateway()).await.unwrap();
        let refused = connection.call(&noop("while-full")).await.unwrap();
        assert_eq!((refused.status().code(), upstream.seen().len()), (Code::Unavailable, asked));
        limit(&mesh, None);
        eventually("calls are answered again", Duration::from_secs(20), async || {
            let answer = connection.call(&noop("after")).await.unwrap();
            (answer.status().code() == Code::Ok).then_some(())
        })
        .await;
        answered.insert("after".to_owned());
        let lines = ledger.has(answered.iter().cloned()).await;
        let paid: BTreeSet<String> = lines.iter().filter(|line| line["code"] == "OK").map(|line| text(line, "request_id")).collect();
        assert_eq!(paid, answered, "who was refused does not pay");
    });
}

#[test]
fn calls_go_on_where_that_is_wanted_and_what_is_lost_is_counted() {
    bounded(async {
        let (ledger, upstream) = (Ledger::default(), upstream().await);
        let mesh = mesh(&ledger, &upstream, &[("metering.when_full", "go_on")]).await;
        limit(&mesh, Some(20_000));
        let connection = Connection::open(mesh.gateway()).await.unwrap();
        for number in 0..200 {
            let answer = connection.call(&noop(&format!("call-{number}"))).await.unwrap();
            assert_eq!(answer.status().code(), Code::Ok, "{:?}", answer.status());
        }
        mesh.gateways[0].metric_until("torchmesh_gateway_metering_lost_events_total", &[], Duration::from_secs(10), |lost| lost > 0).await;
        let lost = mesh.gateways[0].metrics().await.count("torchmesh_gateway_metering_lost_events_total", &[]);
        let kept = mesh.gateways[0].metrics().await.count("torchmesh_gateway_metering_events_total", &[]);
        assert!(kept > 0 && kept + lost <= 200, "{kept} kept, {lost} lost");
    });
}

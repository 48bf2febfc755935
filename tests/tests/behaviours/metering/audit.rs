//! The audit log, and whoever changes it.

use std::{fs, time::Duration};

use torchmesh_tests::{
    bounded, eventually,
    ledger::{Ledger, meshctl},
    raw::Connection,
    sandbox::TENANT,
};

use super::{mesh, noop, upstream};

/// A log of twelve calls.
async fn log(ledger: &Ledger) {
    let upstream = upstream().await;
    let mesh = mesh(ledger, &upstream, &[]).await;
    let connection = Connection::open(mesh.gateway()).await.unwrap();
    for number in 0..12 {
        connection.call(&noop(&format!("call-{number}"))).await.unwrap();
    }
    // The head is written behind the records.
    let head = ledger.folder().join("audit/audit.head");
    eventually("the calls are in the audit log", Duration::from_secs(20), async || {
        let head = fs::read_to_string(&head).unwrap_or_default();
        (ledger.records().len() == 12 && head.contains("\"number\":12,")).then_some(())
    })
    .await;
}

#[test]
fn the_log_says_who_asked_for_what_and_never_what_was_in_it() {
    bounded(async {
        let ledger = Ledger::default();
        log(&ledger).await;
        let record = &ledger.records()[3];
        let told =
            ["tenant", "credential", "model", "version", "code", "request_id", "method"].map(|field| record[field].as_str().unwrap());
        assert_eq!(told, [TENANT, "test", "noop", "1", "OK", "call-3", "/inference.GRPCInferenceService/ModelInfer"]);
        assert!(record["source"].as_str().unwrap().starts_with("127.0.0.1:"), "{record}");
        assert!(record["time"].as_str().unwrap().starts_with("20"), "{record}");
        let fields: Vec<&String> = record.as_object().unwrap().keys().collect();
        assert_eq!(fields.len(), 13, "nothing else is kept: {fields:?}");
    });
}

#[test]
fn meshctl_names_the_first_record_that_somebody_has_laid_hands_on() {
    bounded(async {
        let ledger = Ledger::default();
        log(&ledger).await;
        let file = ledger.audit().remove(0);
        let path = file.to_str().unwrap();
        let (whole, said) = meshctl(&["audit", "verify", path]);
        assert!(whole && said.contains("whole: records 1 to 12"), "{said}");
        let lines: Vec<String> = fs::read_to_string(&file).unwrap().split_inclusive('\n').map(str::to_owned).collect();
        let edited = |at: usize| {
            let mut lines = lines.clone();
            lines[at] = lines[at].replace(TENANT, "somebody");
            lines
        };
        let without = |range: std::ops::Range<usize>| [&lines[..range.start], &lines[range.end..]].concat();
        let mut moved = lines.clone();
        moved.swap(4, 8);
        for (changed, named) in [(edited(5), 6), (without(2..3), 3), (moved, 5), (without(9..12), 10), (without(0..1), 1)] {
            fs::write(&file, changed.concat()).unwrap();
            let (whole, said) = meshctl(&["audit", "verify", path]);
            assert!(!whole && said.contains(&format!("record {named}:")), "record {named} is not named: {said}");
        }
    });
}

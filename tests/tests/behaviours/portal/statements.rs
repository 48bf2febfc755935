//! What partners are told their models have brought in.

use std::{fs, time::Duration};

use torchmesh_api::{
    accounts::v1::{IssueInvoicesRequest, SubscribeRequest},
    usage::v1::{RecordRequest, Units, UsageEvent},
};
use torchmesh_tests::{
    accounts::{Accounts, Database, OPERATOR},
    bounded, eventually,
    portal::{FOR_ACCOUNTS, Portal},
};

use super::{
    billing::{DAY_MS, SOLD, now},
    joined,
    listings::PARTNER,
};

/// Twenty calls of labs' model at 0.25 each, on acme's invoice.
async fn are_billed(accounts: &Accounts) {
    let mut billing = accounts.billing(OPERATOR);
    let asked = SubscribeRequest { tenant: "acme".into(), plan: "payg".into(), at_unix_ms: now() - 70 * DAY_MS, ..Default::default() };
    eventually("the plan is sold", Duration::from_secs(20), async || billing.subscribe(asked.clone()).await.ok()).await;
    let event = |number: u8| UsageEvent {
        id: vec![number; 16],
        time_unix_ms: (now() - 40 * DAY_MS).unsigned_abs(),
        tenant: "acme".into(),
        credential: "acme/search".into(),
        model: "labs-7b".into(),
        units: Some(Units { items: 1, ..Default::default() }),
        ..Default::default()
    };
    accounts.recorder().record(RecordRequest { events: (1..=20).map(event).collect() }).await.unwrap();
    let issued = billing.issue_invoices(IssueInvoicesRequest::default()).await.unwrap().into_inner();
    assert!(issued.issued.iter().any(|invoice| invoice.total == "5.00"), "{issued:?}");
}

#[test]
fn a_partner_sees_its_statements_and_what_it_is_owed_and_nobody_else_does() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("billing.toml");
        fs::write(&file, format!("{SOLD}{PARTNER}")).unwrap();
        let file = file.display().to_string();
        let own = [("billing.file", &*file), ("billing.issuer", "Torchmesh Ltd")];
        let accounts = Accounts::start(&Database::Sqlite, &[&FOR_ACCOUNTS[..], &own].concat()).await;
        let portal = Portal::start(&accounts, None, &[]).await;
        let (mut labs, mut acme) = (portal.member(&accounts, "labs").await, portal.member(&accounts, "acme").await);
        let mut viewer = joined(&accounts, &portal, &mut labs, "eve@example.org", "viewer").await;
        are_billed(&accounts).await;
        assert!(labs.get("/console/billing").await.text().contains("/console/statements"));
        let page = labs.get("/console/statements").await.text();
        assert!(page.contains("Owed to you") && page.contains("4.00 EUR"), "a fifth is the platform's: {page}");
        let number = page.split("ST-labs-").nth(1).map(|rest| format!("ST-labs-{}", &rest[..7])).unwrap();
        let path = format!("/console/statements/{number}");
        let one = labs.get(&path).await.text();
        for part in ["labs-7b", "5.00", "1.00", "4.00", &*number] {
            assert!(one.contains(part), "{part} is missing in {one}");
        }
        labs.send("/preferences", &[("language", "zh-CN"), ("next", "/console")]).await;
        for (format, begin) in [("pdf", "%PDF"), ("html", "<!"), ("csv", ""), ("json", "{")] {
            let document = labs.get(&format!("{path}/{format}")).await;
            assert!(document.status == 200 && document.text().starts_with(begin), "{format}: {}", document.status);
            assert!(document.headers["content-disposition"].to_str().unwrap().starts_with("attachment"), "{format}");
            assert_eq!(acme.get(&format!("{path}/{format}")).await.status, 404, "{format}");
            assert_eq!(viewer.get(&format!("{path}/{format}")).await.status, 403, "{format}");
        }
        assert_eq!((acme.get(&path).await.status, viewer.get(&path).await.status), (404, 403));
        assert_eq!(viewer.get("/console/statements").await.status, 403);
        assert!(acme.get("/console/statements").await.text().contains("There is no statement"));
        for wrong in ["ST-labs-9999-01", "ST-labs-2026-13", "ST-labs", "%3Cscript%3E", &*format!("{number}/exe")] {
            assert_eq!(labs.get(&format!("/console/statements/{wrong}")).await.status, 404, "{wrong}");
        }
    });
}

//! The portal in a real browser, from signing up to a rollout.

use std::{fs, time::Duration};

use torchmesh_api::{
    accounts::v1::{self as api, IssueInvoicesRequest, ListTenantsRequest, SubscribeRequest},
    usage::v1::{RecordRequest, Units, UsageEvent},
};
use torchmesh_billing::Moment;
use torchmesh_tests::{
    MeshSandbox,
    accounts::{Accounts, Database, OPERATOR},
    bounded_by, eventually,
    ledger::Ledger,
    models::Model,
    places,
    portal::{FOR_ACCOUNTS, Portal},
    python::{is_content_within, script},
};

use super::billing::{DAY_MS, SOLD, now};

/// Two hundred pages with a look at each; a fraction of it where nothing else runs.
const BOUND: Duration = Duration::from_secs(900);

/// The beginning of the month before the last one, in milliseconds since 1970.
fn two_months_ago() -> i64 {
    let day = Moment::from_unix_ms(now().unsigned_abs()).unwrap().date();
    let (year, month) = (day[..4].parse::<u32>().unwrap(), day[5..7].parse::<u32>().unwrap());
    let months = year * 12 + month - 3;
    let begin = format!("{}-{:02}-01", months / 12, months % 12 + 1);
    begin.parse::<Moment>().unwrap().unix_ms().cast_signed()
}

/// Waits for the tenant, lets two months of a plan of 30.00 a month be over in the first of which there were 25 calls of 0.25, and issues the invoices.
async fn a_month_goes_by(accounts: &Accounts) {
    let (mut operator, mut billing) = (accounts.operator(), accounts.billing(OPERATOR));
    eventually("the tenant signs up", BOUND, async || {
        let tenants = operator.list_tenants(ListTenantsRequest::default()).await.unwrap().into_inner().tenants;
        tenants.iter().any(|tenant| tenant.name == "acme").then_some(())
    })
    .await;
    let begin = two_months_ago();
    let subscribed = SubscribeRequest { tenant: "acme".into(), plan: "pro".into(), at_unix_ms: begin, ..Default::default() };
    billing.subscribe(subscribed).await.unwrap();
    let call = |number: u8| UsageEvent {
        id: vec![number; 16],
        time_unix_ms: (begin + DAY_MS).unsigned_abs(),
        tenant: "acme".into(),
        credential: "acme/search".into(),
        model: "text".into(),
        units: Some(Units { items: 1, ..Default::default() }),
        ..Default::default()
    };
    accounts.recorder().record(RecordRequest { events: (1..=25).map(call).collect() }).await.unwrap();
    let issued = billing.issue_invoices(IssueInvoicesRequest { tenant: "acme".into(), ..Default::default() }).await.unwrap().into_inner();
    assert!(!issued.issued.is_empty(), "{issued:?}");
}

/// What is said of the model that chats.
async fn is_listed(accounts: &Accounts) {
    let text = |language: &str, summary: &str| api::ListingText {
        language: language.into(),
        summary: summary.into(),
        description: "First.\n\nSecond.".into(),
        terms: "None.".into(),
    };
    let version = api::ListingVersion { version: "1".into(), day_unix_ms: now(), text: "The first one.".into() };
    let asked = api::CreateListingRequest {
        model: "smollm2".into(),
        task: "generate".into(),
        texts: vec![text("en", "A small model that chats."), text("zh", "一个会聊天的小模型。")],
        versions: vec![version],
        ..Default::default()
    };
    let mut operator = accounts.listings(OPERATOR);
    operator.create_listing(asked).await.unwrap();
    operator.publish_listing(api::PublishListingRequest { model: "smollm2".into(), revision: 0 }).await.unwrap();
}

#[test]
fn somebody_signs_up_and_calls_a_model_an_operator_takes_a_version_back_and_every_page_is_for_everybody() {
    bounded_by(BOUND, async {
        let sold = tempfile::tempdir().unwrap();
        fs::write(sold.path().join("billing.toml"), SOLD).unwrap();
        let path = sold.path().join("billing.toml").display().to_string();
        let keys = sold.path().join("keys");
        fs::write(&keys, "ab".repeat(32)).unwrap();
        let keys = keys.display().to_string();
        let own = [("billing.file", &*path), ("billing.issuer", "Torchmesh Ltd"), ("webhooks.key_file", &*keys)];
        let receivers = [("webhooks.allow_http", "true"), ("webhooks.allow_private", "true")];
        let accounts = Accounts::start(&Database::Sqlite, &[&FOR_ACCOUNTS[..], &own, &receivers].concat()).await;
        is_listed(&accounts).await;
        let (ledger, kept) = (Ledger::default(), tempfile::tempdir().unwrap());
        let mesh = MeshSandbox::builder().model(Model::smollm2()).model(Model::minilm()).model(Model::noop());
        let mesh = mesh.set("router", "store.folder", kept.path().to_str().unwrap());
        let mesh = accounts.of(ledger.of(mesh)).start().await;
        Model::noop().add_version(&mesh.folder().join("models"), 2);
        let portal = Portal::start(&accounts, Some(&mesh), &[("operators", "ada@example.org")]).await;
        eventually("the second version is there", Duration::from_secs(30), async || {
            let page = portal.visitor().get("/models/noop").await.text();
            (page.matches("badge good").count() >= 2).then_some(())
        })
        .await;
        let shots = places::programs().parent().unwrap().join("portal-screenshots");
        fs::create_dir_all(&shots).unwrap();
        let mut browser = script("portal.py", &mesh);
        browser.env("PORTAL", portal.addr().to_string()).env("OUTBOX", accounts.path("kept/outbox")).env("SHOTS", shots);
        browser.env("CHAT", "smollm2").env("EMBED", "minilm").env("ROLLED", "noop");
        browser.env("BROWSER", places::browser()).env("AXE", places::cache().join("axe-core-4.14.1/axe.min.js"));
        browser.env("BILLED", "36.25");
        let (said, ()) = tokio::join!(is_content_within(browser, BOUND), a_month_goes_by(&accounts));
        println!("{said}");
    });
}

//! How long the portal takes for its pages when there is much to show: `make gauge`.

use std::{
    fs,
    time::{Duration, Instant},
};

use torchmesh_api::accounts::v1::{self as api, SubscribeRequest};
use torchmesh_tests::{
    accounts::{Accounts, Database, OPERATOR},
    bounded_by, eventually,
    portal::{FOR_ACCOUNTS, Portal},
    postgres::Postgres,
    wait::median,
};

use super::{
    attacks::hostile_gateway,
    billing::{DAY_MS, SOLD, now},
};

/// A fifth of them is the member's.
const EVENTS: usize = 10_000_000;
/// Looks at each page.
const LOOKS: usize = 21;
/// The tenant that looks.
const TENANT: &str = "tenant-0";

/// What PostgreSQL makes of these words is a year of calls of 5 tenants, by 20 keys each, to 8 models of 3 versions.
const CALLS: &str = "INSERT INTO usage_events SELECT lpad(to_hex(g), 32, '0'), \
    (extract(epoch FROM now()) * 1000)::BIGINT - g::BIGINT * 3153, 'tenant-' || g % 5, 'tenant-' || g % 5 || '/key-' || g / 7 % 20, 'model-' || g / 11 % 8, \
    (g / 13 % 3 + 1)::TEXT, 2, '/v1/chat/completions', CASE WHEN g % 50 = 0 THEN 14 ELSE 0 END, g % 900, g % 90, g % 300, 1, 0, 900, 400, 9000, \
    lpad(to_hex(g), 32, '0'), '', '10.0.0.1', 12000 FROM generate_series(1, EVENTS) AS g";
/// The sums of them, as the accounts keep them.
const SUMS: &str = "INSERT INTO TABLE SELECT tenant, time_ms - time_ms % PERIOD, CREDENTIAL, model, VERSION, count(*), \
    count(*) FILTER (WHERE code <> 0), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(items), 0, sum(bytes_in), sum(bytes_out), \
    sum(compute_us), max(time_ms) FROM usage_events WHERE ONLY GROUP BY 1, 2, 3, 4, 5";

/// How long they took: in 60 buckets, which is a spread of two hundred times.
const MEASURED: &str = "INSERT INTO usage_measured SELECT model, time_ms - time_ms % 86400000, CASE WHEN code = 14 THEN -1 ELSE 80 + prompt_tokens % 60 END, \
    count(*) FROM usage_events GROUP BY 1, 2, 3";

/// A listing for every model.
async fn are_listed(accounts: &Accounts) {
    let mut operator = accounts.listings(OPERATOR);
    for at in 0..8 {
        let text = api::ListingText {
            language: "en".into(),
            summary: "A model.".into(),
            description: "It does.\n\n".repeat(500),
            ..Default::default()
        };
        let model = format!("model-{at}");
        let asked = api::CreateListingRequest { model: model.clone(), task: "generate".into(), texts: vec![text], ..Default::default() };
        operator.create_listing(asked).await.unwrap();
        operator.publish_listing(api::PublishListingRequest { model, revision: 0 }).await.unwrap();
    }
}

fn fill(postgres: &Postgres) {
    postgres.ask(&CALLS.replace("EVENTS", &EVENTS.to_string()));
    for (table, period, credential, version, only) in [
        ("usage_hourly", "3600000", "credential", "version", "true"),
        ("usage_daily", "86400000", "credential", "version", "true"),
        ("usage_payable", "3600000", "''", "''", "code = 0"),
    ] {
        let words = [("TABLE", table), ("PERIOD", period), ("CREDENTIAL", credential), ("VERSION", version), ("ONLY", only)];
        postgres.ask(&words.into_iter().fold(SUMS.to_owned(), |text, (word, with)| text.replacen(word, with, 1)));
    }
    postgres.ask(MEASURED);
    postgres.ask("ANALYZE");
}

#[test]
#[ignore = "a measurement, not a check: `make gauge`"]
fn how_long_pages_take_beside_ten_million_events() {
    bounded_by(Duration::from_secs(1800), async {
        let database = Database::postgres().await;
        let Database::Postgres(postgres) = &database else { unreachable!("it was asked for") };
        let sold = tempfile::tempdir().unwrap();
        let file = sold.path().join("billing.toml").display().to_string();
        fs::write(&file, SOLD).unwrap();
        let own = [("billing.file", &*file), ("billing.issuer", "Torchmesh Ltd")];
        let accounts = Accounts::start(&database, &[&FOR_ACCOUNTS[..], &own].concat()).await;
        // The catalogue needs a gateway that answers.
        let gateway = format!("http://{}", hostile_gateway("model-1").await);
        let portal = Portal::start(&accounts, None, &[("gateway.address", &gateway), ("operators", "tenant-0@example.org")]).await;
        let mut member = portal.member(&accounts, TENANT).await;
        let subscribed =
            SubscribeRequest { tenant: TENANT.into(), plan: "pro".into(), at_unix_ms: now() - 62 * DAY_MS, ..Default::default() };
        let mut billing = accounts.billing(OPERATOR);
        eventually("the plan is sold", Duration::from_secs(20), async || billing.subscribe(subscribed.clone()).await.ok()).await;
        fill(postgres);
        are_listed(&accounts).await;
        println!(
            "{} events of usage, {} sums of days",
            postgres.ask("SELECT count(*) FROM usage_events"),
            postgres.ask("SELECT count(*) FROM usage_daily")
        );
        for page in [
            "/console",
            "/console/keys",
            "/console/usage",
            "/console/usage?days=90&by=model",
            "/console/usage?days=90&by=key",
            "/console/usage.csv",
            "/console/billing",
            "/console/budgets",
            "/console/changes",
            "/models",
            "/models/model-1",
            "/console/listings",
            "/operator/listings",
            "/operator/tenants",
            "/operator/tenants/tenant-0",
            "/operator/changes",
        ] {
            let mut times = Vec::new();
            for _ in 0..LOOKS {
                let began = Instant::now();
                let answer = member.get(page).await;
                times.push(began.elapsed());
                assert_eq!(answer.status, 200, "{page}: {}", answer.text());
            }
            let longest = times.iter().max().copied().unwrap_or_default();
            println!("{page:28} {:6.1} ms, at most {:6.1}", median(times).as_secs_f64() * 1e3, longest.as_secs_f64() * 1e3);
        }
    });
}

//! Accounts behind TLS.

use std::time::Duration;

use tempfile::TempDir;
use torchmesh_api::accounts::v1::{SumUsageRequest, UsageBy};
use torchmesh_tests::{
    MeshSandbox,
    accounts::{Accounts, Database, OPERATOR},
    bounded, client, eventually,
    ledger::{Ledger, meshctl},
    models::Model,
    raw::{Call, Connection, MODEL_INFER},
    tls::{Authority, Certificate},
};

use super::models;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_gateway_follows_accounts_by_tls_shows_them_a_certificate_and_sends_them_what_was_used() {
    bounded(async {
        let (folder, database) = (TempDir::new().unwrap(), Database::postgres().await);
        let (shown, authority) = (Certificate::make(folder.path()), Authority::make(folder.path(), "clients.pem"));
        let [cert, key] = authority.service(folder.path(), "spiffe://example.org/ns/mesh/sa/gateway");
        // Operators reach one process, gateways the other; they share the database.
        let accounts = Accounts::start(&database, &[]).await;
        let behind =
            Accounts::start(&database, &[("tls.cert", &shown.cert), ("tls.key", &shown.key), ("tls.client_ca", &authority.ca)]).await;
        accounts.tenant("acme").await;
        let (_, secret) = accounts.key("acme", "search").await;
        let ledger = Ledger::default();
        let address = format!("https://localhost:{}", behind.addr().port());
        let mut builder = behind.of(ledger.of(MeshSandbox::builder().model(Model::noop())));
        for (setting, value) in [
            ("accounts.address", &address),
            ("metering.accounts", &address),
            ("accounts_tls.ca", &shown.cert),
            ("accounts_tls.cert", &cert),
            ("accounts_tls.key", &key),
        ] {
            builder = builder.set("gateway", setting, value);
        }
        let mesh = builder.start().await;
        eventually("the key is known", SOON, async || (models(&mesh, 0, &secret).await == 200).then_some(())).await;
        let call = Call::new(MODEL_INFER, &client::noop()).header("authorization", &format!("Bearer {secret}"));
        Connection::open(mesh.gateway()).await.unwrap().call(&call).await.unwrap();
        eventually("the call is in the accounts", SOON, async || {
            let asked = SumUsageRequest { tenant: "acme".into(), by: vec![UsageBy::Version.into()], ..Default::default() };
            accounts.usage(OPERATOR, asked).await.unwrap().iter().any(|sum| sum.model == "noop" && sum.calls == 1).then_some(())
        })
        .await;
        by_meshctl(&behind, &[("--ca-file", &shown.cert), ("--cert-file", &cert), ("--cert-key-file", &key)]);
    });
}

/// Operators reach the accounts as services do, and with less not at all.
fn by_meshctl(accounts: &Accounts, files: &[(&str, &str)]) {
    let (address, token) = (format!("https://localhost:{}", accounts.addr().port()), accounts.path("operator.token").display().to_string());
    let ask = |files: &[(&str, &str)], address: &str| {
        let mut words = vec!["accounts", "usage", "--by", "model", "--openmetrics", "--accounts-addr", address, "--token-file", &token];
        words.extend(files.iter().flat_map(|(name, file)| [*name, *file]));
        meshctl(&words)
    };
    let (content, said) = ask(files, &address);
    assert!(content && said.contains("torchmesh_usage_calls{model=\"noop\"} 1\n") && said.trim_end().ends_with("# EOF"), "{said}");
    let (content, said) = ask(files, &address.replace("localhost", "127.0.0.1"));
    assert!(!content && said.contains("no accounts answer at https://127.0.0.1") && said.contains("not valid for name"), "{said}");
    for too_few in [&files[..1], &[]] {
        let (content, said) = ask(too_few, &address);
        assert!(!content && !said.contains("torchmesh_usage"), "{said}");
    }
}

//! The portal in a real browser, from signing up to a rollout.

use std::{fs, time::Duration};

use torchmesh_tests::{
    MeshSandbox,
    accounts::{Accounts, Database},
    bounded_by, eventually,
    ledger::Ledger,
    models::Model,
    places,
    portal::{FOR_ACCOUNTS, Portal},
    python::{is_content_within, script},
};

/// A hundred pages with a look at each; a fraction of it where nothing else runs.
const BOUND: Duration = Duration::from_secs(600);

#[test]
fn somebody_signs_up_and_calls_a_model_an_operator_takes_a_version_back_and_every_page_is_for_everybody() {
    bounded_by(BOUND, async {
        let accounts = Accounts::start(&Database::Sqlite, &FOR_ACCOUNTS).await;
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
        println!("{}", is_content_within(browser, BOUND).await);
    });
}

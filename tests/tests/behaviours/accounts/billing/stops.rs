//! Calls that stop when what is free or paid for is used up, and letters about budgets.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Method, Request, header};
use torchmesh_api::{
    accounts::v1::{AddCreditRequest, Money, Role, SetBudgetRequest, SubscribeRequest, UpdateBillingProfileRequest},
    usage::v1::{Units, UsageEvent},
};
use torchmesh_tests::{KEY, MeshSandbox, accounts::Database, bounded, eventually, models::Model, web};

use super::{super::asking::member, Shop};
use crate::batches;

const SOON: Duration = Duration::from_secs(20);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// So many calls of acme's to a model of others.
fn calls(from: u8, to: u8) -> Vec<UsageEvent> {
    let call = |number: u8| UsageEvent {
        id: vec![number; 16],
        time_unix_ms: now(),
        tenant: "acme".into(),
        credential: "acme/k".into(),
        model: "noop".into(),
        units: Some(Units { items: 1, ..Default::default() }),
        ..Default::default()
    };
    (from..to).map(call).collect()
}

/// What a call to the model is answered.
async fn infer(mesh: &MeshSandbox, key: &str) -> (u16, String) {
    let request =
        Request::builder().method(Method::POST).uri("/v2/models/noop/infer").header(header::AUTHORIZATION, format!("Bearer {key}"));
    let input = r#"{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[1,256],"data":[DATA]}]}"#.replace("DATA", &["0"; 256].join(","));
    let request = request.header(header::CONTENT_TYPE, "application/json").body(input.into()).unwrap();
    let answer = web::Connection::http1(mesh.gateways[0].addr).await.unwrap().send(request).await.unwrap();
    (answer.status, answer.text())
}

async fn until(mesh: &MeshSandbox, key: &str, status: u16) -> String {
    let answers = async || Some(infer(mesh, key).await).filter(|answer| answer.0 == status).map(|answer| answer.1);
    eventually(&format!("the gateway answers {status}"), SOON, answers).await
}

async fn subscribe(shop: &Shop, plan: &str) {
    let asked = SubscribeRequest { tenant: "acme".into(), plan: plan.into(), ..Default::default() };
    shop.operator().subscribe(asked).await.unwrap();
}

#[test]
fn a_tenant_that_has_used_up_what_is_free_is_told_so_by_the_gateway_until_it_pays() {
    bounded(async {
        let shop = Shop::open(&Database::Sqlite, &[("billing.check_every", "200ms")]).await;
        shop.accounts.tenant("acme").await;
        subscribe(&shop, "free").await;
        let (_, key) = shop.accounts.key("acme", "k").await;
        let mesh = shop.accounts.of(MeshSandbox::builder().model(Model::noop())).start().await;
        until(&mesh, &key, 200).await;
        shop.used(&calls(1, 11)).await;
        let why = until(&mesh, &key, 429).await;
        assert!(why.contains("used up") && why.contains("subscribe to another plan"), "{why}");
        assert_eq!(super::super::models(&mesh, 0, &key).await, 200, "what costs nothing goes on");
        subscribe(&shop, "payg").await;
        until(&mesh, &key, 200).await;
        let prepaid = UpdateBillingProfileRequest { tenant: "acme".into(), prepaid: Some(true), ..Default::default() };
        shop.operator().update_billing_profile(prepaid).await.unwrap();
        assert!(until(&mesh, &key, 429).await.contains("add credit"));
        let amount = Some(Money { amount: "50.00".into(), currency: String::new() });
        let credit = AddCreditRequest { tenant: "acme".into(), id: "k".into(), amount, bought: true, expires_unix_ms: 0 };
        shop.operator().add_credit(credit).await.unwrap();
        until(&mesh, &key, 200).await;
    });
}

#[test]
fn a_batch_of_a_tenant_that_has_used_up_what_is_free_waits_until_it_pays() {
    bounded(async {
        let shop = Shop::open(&Database::Sqlite, &[("billing.check_every", "200ms")]).await;
        shop.accounts.tenant("acme").await;
        subscribe(&shop, "free").await;
        let (_, key) = shop.accounts.key("acme", "k").await;
        let folder = tempfile::tempdir().unwrap();
        let builder = MeshSandbox::builder().model(Model::noop()).model(Model::minilm());
        let builder = builder.set("gateway", "batches.folder", folder.path().to_str().unwrap());
        let mesh = shop.accounts.of(builder).start().await;
        until(&mesh, &key, 200).await;
        shop.used(&calls(1, 11)).await;
        until(&mesh, &key, 429).await;
        let gateway = mesh.gateway();
        let waiting = batches::begin(gateway, &key, &batches::lines(5)).await;
        // Somebody else's is worked off behind it, so its lines were looked at, too.
        let other = batches::begin(gateway, KEY, &batches::lines(5)).await;
        assert_eq!(batches::completed(&batches::over(gateway, KEY, &other).await), 5);
        let batch = batches::show(gateway, &key, &waiting).await;
        assert_eq!((batches::completed(&batch), &batch["status"]), (0, &"in_progress".into()), "{batch}");
        subscribe(&shop, "payg").await;
        assert_eq!(batches::completed(&batches::over(gateway, &key, &waiting).await), 5);
    });
}

#[test]
fn a_budget_that_is_reached_is_told_of_once_though_the_accounts_are_killed() {
    bounded(async {
        let mut shop = Shop::open(&Database::Sqlite, &[("billing.check_every", "200ms")]).await;
        shop.accounts.tenant("acme").await;
        subscribe(&shop, "payg").await;
        member(&shop.accounts, "acme", "pays@example.org", Role::Billing).await;
        let limit = Some(Money { amount: "0.10".into(), currency: "EUR".into() });
        let asked = SetBudgetRequest { tenant: "acme".into(), name: "monthly".into(), limit, thresholds: vec![50, 100], remove: false };
        shop.operator().set_budget(asked).await.unwrap();
        let outbox = shop.accounts.path("kept/outbox");
        let letters = |percent: &str| {
            let said = format!("Subject: {percent}% of the budget monthly of acme is spent");
            let texts = fs::read_dir(&outbox).unwrap().filter_map(|file| fs::read_to_string(file.unwrap().path()).ok());
            texts.filter(|text| text.contains(&said)).count()
        };
        shop.used(&calls(1, 6)).await;
        eventually("half of it is told of", SOON, async || (letters("50") == 1).then_some(())).await;
        shop.accounts.killed_and_started().await;
        shop.sells().await;
        shop.used(&calls(6, 11)).await;
        eventually("all of it is told of", SOON, async || (letters("100") == 1).then_some(())).await;
        assert_eq!((letters("50"), letters("100")), (1, 1));
    });
}

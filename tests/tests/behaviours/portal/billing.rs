//! What it costs, as members see it.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::Method;
use torchmesh_api::{
    accounts::v1::{AddCreditRequest, IssueInvoicesRequest, ListPlansRequest, Money, SubscribeRequest},
    usage::v1::{RecordRequest, Units, UsageEvent},
};
use torchmesh_tests::{
    accounts::{Accounts, Database, OPERATOR},
    bounded,
    checkout::{self, Checkout},
    eventually,
    portal::{FOR_ACCOUNTS, Portal},
};

use super::{
    attacks::{SCRIPT, is_text},
    joined, need_their_token,
};

pub(super) const DAY_MS: i64 = 86_400_000;
pub(super) const SOLD: &str = r#"
currency = "EUR"

[[price]]
id = "calls"
model = "*"
from = "2026-01-01"
batch = "50%"
rate = [{ unit = "calls", per = 1, price = "0.25" }]

[[plan]]
id = "pro"
kind = "subscription"
fee = "30.00"

[[plan]]
id = "payg"
kind = "pay_per_use"
"#;

/// What takes something off.
const COUPON: &str = "\n[[coupon]]\ncode = \"TENTH\"\nshare = \"10%\"\n";

pub(super) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Accounts that sell, with a tenant that has been subscribed for two months and called a model eight times today.
pub(super) async fn shop(folder: &std::path::Path) -> (Accounts, Portal) {
    shop_with(folder, &[]).await
}

async fn shop_with(folder: &std::path::Path, more: &[(&str, &str)]) -> (Accounts, Portal) {
    let file = folder.join("billing.toml");
    fs::write(&file, format!("{SOLD}{COUPON}")).unwrap();
    let path = file.display().to_string();
    let own = [("billing.file", &*path), ("billing.issuer", "Torchmesh Ltd"), ("billing.self_service", "true")];
    let accounts = Accounts::start(&Database::Sqlite, &[&FOR_ACCOUNTS[..], &own, more].concat()).await;
    let mut operator = accounts.billing(OPERATOR);
    eventually("what is sold was taken over", Duration::from_secs(20), async || operator.list_plans(ListPlansRequest {}).await.ok()).await;
    let portal = Portal::start(&accounts, None, &[]).await;
    (accounts, portal)
}

pub(super) async fn has_used(accounts: &Accounts, tenant: &str) {
    let asked = SubscribeRequest { tenant: tenant.into(), plan: "pro".into(), at_unix_ms: now() - 62 * DAY_MS, ..Default::default() };
    accounts.billing(OPERATOR).subscribe(asked).await.unwrap();
    let event = |number: u8| UsageEvent {
        id: vec![number; 16],
        time_unix_ms: now().unsigned_abs(),
        tenant: tenant.into(),
        credential: format!("{tenant}/search"),
        model: "text".into(),
        model_version: "1".into(),
        units: Some(Units { prompt_tokens: 3, items: 1, ..Default::default() }),
        ..Default::default()
    };
    accounts.recorder().record(RecordRequest { events: (1..=8).map(event).collect() }).await.unwrap();
}

#[test]
fn a_tenant_sees_its_plan_what_is_spent_and_its_invoices_and_nobody_elses() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (accounts, portal) = shop(folder.path()).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let mut stranger = portal.member(&accounts, "evil").await;
        has_used(&accounts, "acme").await;
        let issued = accounts.billing(OPERATOR).issue_invoices(IssueInvoicesRequest::default()).await.unwrap().into_inner();
        assert!(issued.not_issued.is_empty(), "{issued:?}");
        let number = issued.issued[0].number.clone();
        let page = owner.get("/console/billing").await;
        assert_eq!(page.status, 200, "{}", page.text());
        for part in ["pro", "EUR", "2.00", &*number, "your plan", "payg"] {
            assert!(page.text().contains(part), "{part} is missing in {}", page.text());
        }
        assert!(owner.get("/console").await.text().contains("EUR"), "the overview has what is spent");
        let path = format!("/console/billing/invoices/{number}");
        assert!(owner.get(&path).await.text().contains("30.00"));
        for (format, kind, begin) in
            [("pdf", "application/pdf", "%PDF"), ("html", "text/html", "<!"), ("csv", "text/csv", ""), ("json", "application/json", "{")]
        {
            let document = owner.get(&format!("{path}/{format}")).await;
            assert_eq!(document.status, 200, "{format}");
            assert!(document.headers["content-type"].to_str().unwrap().starts_with(kind), "{format}");
            assert!(
                document.headers["content-disposition"].to_str().unwrap().starts_with("attachment"),
                "{format} is not shown as a page of ours"
            );
            assert!(document.text().starts_with(begin), "{format}");
            assert_eq!(stranger.get(&format!("{path}/{format}")).await.status, 404, "{format}");
        }
        assert_eq!(stranger.get(&path).await.status, 404);
        assert!(!stranger.get("/console/billing").await.text().contains(&number));
    });
}

#[test]
fn an_invoice_is_paid_where_a_processor_is_and_its_notice_needs_no_form() {
    bounded(async {
        let (folder, checkout) = (tempfile::tempdir().unwrap(), Checkout::start().await);
        let (key, secret) = (folder.path().join("key"), folder.path().join("secret"));
        fs::write(&key, checkout::KEY).unwrap();
        fs::write(&secret, checkout::SECRET).unwrap();
        let own = [
            ("payments.processor", "stripe".to_owned()),
            ("payments.secret_key_file", key.display().to_string()),
            ("payments.webhook_secret_file", secret.display().to_string()),
            ("payments.address", checkout.address()),
            ("payments.return_link", "https://portal.example.org".to_owned()),
        ];
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (accounts, portal) = shop_with(folder.path(), &own).await;
        let (mut owner, mut stranger) = (portal.member(&accounts, "acme").await, portal.member(&accounts, "evil").await);
        has_used(&accounts, "acme").await;
        let issued = accounts.billing(OPERATOR).issue_invoices(IssueInvoicesRequest::default()).await.unwrap().into_inner();
        // The last one is of a whole month.
        let path = format!("/console/billing/invoices/{}", issued.issued.last().unwrap().number);
        let page = owner.get(&path).await;
        assert!(page.text().contains("Pay 30.00 EUR"), "{}", page.text());
        assert!(page.headers["content-security-policy"].to_str().unwrap().contains("form-action 'self' https:;"));
        let pay = format!("{path}/pay");
        assert_eq!(owner.send_with("", &pay, &[]).await.status, 403);
        let csrf = stranger.csrf("/console").await;
        assert_eq!(stranger.send_with(&csrf, &pay, &[]).await.status, 404);
        let csrf = owner.csrf("/console").await;
        let sent = owner.send_with(&csrf, &pay, &[]).await;
        assert_eq!((sent.status, &sent.headers["location"]), (303, &"https://checkout.stripe.com/c/pay/cs_test_1".parse().unwrap()));

        let (body, signature) = checkout.paid("pi_1", now().unsigned_abs() / 1000);
        let mut processor = portal.visitor();
        let mut notice = async |signature: &str, body: Bytes| {
            let headers = [("content-type", "application/json"), ("stripe-signature", signature)];
            processor.ask(Method::POST, "/payments/notices", &headers, body).await.status
        };
        assert_eq!(notice(&signature.replace("v1=", "v1=00"), body.clone()).await, 400);
        assert_eq!(notice(&signature, Bytes::from("{}")).await, 400);
        assert_eq!(notice(&signature, Bytes::from(vec![b' '; (1 << 20) + 1])).await, 413);
        for _ in 0..2 {
            assert_eq!(notice(&signature, body.clone()).await, 204);
        }
        let page = owner.get(&path).await.text();
        assert!(page.contains("paid") && !page.contains("Pay 30.00"), "{page}");
    });
}

#[test]
fn members_who_may_choose_their_plan_and_end_it() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (accounts, portal) = shop(folder.path()).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let csrf = owner.csrf("/console").await;
        assert_eq!(owner.send_with("", "/console/billing/plan", &[("plan", "pro")]).await.status, 403);
        assert_eq!(owner.send_with(&csrf, "/console/billing/plan", &[("plan", "pro")]).await.status, 303);
        assert!(owner.get("/console/billing").await.text().contains("your plan"));
        assert_eq!(owner.send_with(&csrf, "/console/billing/cancel", &[]).await.status, 303);
        assert!(owner.get("/console/billing").await.text().contains("the plan is: none"));
    });
}

#[test]
fn credit_that_is_left_is_listed_with_its_end_and_a_coupon_is_taken_or_refused_in_its_form() {
    bounded(async {
        let folder = tempfile::tempdir().unwrap();
        let (accounts, portal) = shop(folder.path()).await;
        let mut owner = portal.member(&accounts, "acme").await;
        let mut viewer = joined(&accounts, &portal, &mut owner, "eve@example.org", "viewer").await;
        let amount = Some(Money { amount: "25.00".into(), currency: "EUR".into() });
        let expires_unix_ms = now() + 90 * DAY_MS;
        let asked = AddCreditRequest { tenant: "acme".into(), id: "welcome".into(), amount, bought: false, expires_unix_ms };
        accounts.billing(OPERATOR).add_credit(asked).await.unwrap();
        let page = owner.get("/console/billing").await.text();
        for part in ["welcome", "25.00 EUR", "given"] {
            assert!(page.contains(part), "{part} is missing in {page}");
        }
        assert!(!page.contains("/console/billing/coupon"), "a coupon takes something off a subscription");
        let csrf = owner.csrf("/console").await;
        owner.send_with(&csrf, "/console/billing/plan", &[("plan", "pro")]).await;
        need_their_token(&mut owner, &["/console/billing/coupon"], &[("code", "TENTH")]).await;
        let refused = owner.send_with(&csrf, "/console/billing/coupon", &[("code", SCRIPT)]).await;
        assert_eq!(refused.status, 400);
        is_text(&refused.text(), SCRIPT);
        for _ in 0..2 {
            assert_eq!(owner.send_with(&csrf, "/console/billing/coupon", &[("code", "TENTH")]).await.status, 303);
        }
        assert!(owner.get("/console/billing?told=coupon").await.text().contains("Taken: TENTH"));
        let csrf = viewer.csrf("/console").await;
        assert_eq!(viewer.send_with(&csrf, "/console/billing/coupon", &[("code", "TENTH")]).await.status, 403);
    });
}

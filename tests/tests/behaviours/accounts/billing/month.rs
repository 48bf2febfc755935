//! A month, from events to the invoice, against a reckoning of its own.

use std::fs;

use sha2::{Digest as _, Sha256};
use tonic::Code;
use torchmesh_api::{
    accounts::v1::{
        DocumentFormat, GetInvoiceRequest, Invoice, IssueInvoicesRequest, ListPlansRequest, PreviewInvoiceRequest, ReissueInvoiceRequest,
        UpdateBillingProfileRequest,
    },
    usage::v1::{Door, Units, UsageEvent},
};
use torchmesh_tests::{
    accounts::{Accounts, Database, OPERATOR},
    bounded, eventually,
};

use super::{SOLD, Shop, first_of, ms};

/// Calls of June 2026, a few of them failed or cut, some of them lines of batches, and some of the months beside it.
fn events(seed: u64) -> Vec<UsageEvent> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let event = |number: u64| {
        let model = *rng.choice(&["text", "text", "image"]).unwrap();
        let units = Units {
            prompt_tokens: if model == "text" { rng.u64(0..4000) } else { 0 },
            completion_tokens: if model == "text" { rng.u64(0..900) } else { 0 },
            ..Default::default()
        };
        UsageEvent {
            id: u128::from(number + seed * 1_000_000).to_be_bytes().to_vec(),
            time_unix_ms: rng.u64((first_of(5) + 20 * 86_400_000).unsigned_abs()..(first_of(7) + 86_400_000).unsigned_abs()),
            tenant: "acme".into(),
            credential: "acme/k".into(),
            model: model.into(),
            model_version: "1".into(),
            code: *rng.choice(&[0, 0, 0, 0, 1, 4, 13]).unwrap(),
            door: rng.choice([Door::Grpc, Door::Openai, Door::Batch]).unwrap().into(),
            units: Some(units),
            ..Default::default()
        }
    };
    (0..3000).map(event).collect()
}

/// Half to even.
fn rounded(number: i128, divisor: i128) -> i128 {
    let (whole, rest) = (number.div_euclid(divisor), number.rem_euclid(divisor));
    whole + i128::from(rest * 2 > divisor || (rest * 2 == divisor && whole % 2 == 1))
}

/// The nets of June's lines in cents, sorted: 30.00, the tokens at both prices, of batches at half of the second, and the images beyond fifty in their tiers.
fn reckoned(events: &[UsageEvent]) -> Vec<i128> {
    let (mut tokens, mut images) = ([0_i128; 6], 0_i128);
    for event in events {
        let units = event.units.unwrap_or_default();
        let paid = event.code == 0 || (matches!(event.code, 1 | 4) && units.prompt_tokens + units.completion_tokens > 0);
        let at = event.time_unix_ms.cast_signed();
        if !paid || at < first_of(6) || at >= first_of(7) {
            continue;
        }
        if event.model == "image" {
            images += 1;
        } else {
            let price = match (at >= ms("2026-06-15T10:30:00Z"), event.door() == Door::Batch) {
                (false, _) => 0,
                (true, false) => 2,
                (true, true) => 4,
            };
            tokens[price] += i128::from(units.prompt_tokens);
            tokens[price + 1] += i128::from(units.completion_tokens);
        }
    }
    // Prices in tenths of a cent for so many.
    let mut nets: Vec<i128> =
        tokens.iter().zip([500, 1500, 400, 1250, 200, 625]).map(|(count, price)| rounded(count * price, 10 * 1000)).collect();
    let charged = (images - 50).max(0);
    nets.extend([3000, 0, rounded(charged.min(100) * 10, 10), rounded((charged - 100).max(0) * 5, 10)]);
    nets.sort_unstable();
    nets
}

fn cents(text: &str) -> i128 {
    text.replace('.', "").parse().unwrap()
}

async fn issue_june(shop: &Shop) -> Invoice {
    let asked = IssueInvoicesRequest { until_unix_ms: first_of(7), ..Default::default() };
    let answer = shop.operator().issue_invoices(asked.clone()).await.unwrap().into_inner();
    assert!(answer.not_issued.is_empty(), "{answer:?}");
    assert!(shop.operator().issue_invoices(asked).await.unwrap().into_inner().issued.is_empty(), "once");
    answer.issued.into_iter().next().unwrap()
}

async fn document(shop: &Shop, number: &str, format: DocumentFormat, language: &str) -> (Invoice, String, Vec<u8>) {
    let asked = GetInvoiceRequest { number: number.into(), format: format.into(), language: language.into() };
    let answer = shop.operator().get_invoice(asked).await.unwrap().into_inner();
    let document = answer.document.unwrap();
    (answer.invoice.unwrap(), document.content_type, document.content)
}

async fn a_month(database: &Database) {
    let shop = Shop::open(database, &[]).await;
    shop.tenant("acme", "pro", 6).await;
    let profile = UpdateBillingProfileRequest {
        tenant: "acme".into(),
        recipient: Some("Acme Ltd\n1 Road".into()),
        tax_name: Some("VAT".into()),
        tax_rate: Some("19%".into()),
        ..Default::default()
    };
    shop.operator().update_billing_profile(profile).await.unwrap();
    let events = events(7);
    shop.used(&events).await;
    // Sent again, as gateways do: it counts once.
    shop.used(&events[..1000]).await;
    let issued = issue_june(&shop).await;
    let (whole, kind, json) = document(&shop, &issued.number, DocumentFormat::Json, "").await;
    let mut nets: Vec<i128> = whole.lines.iter().map(|line| cents(&line.net)).collect();
    nets.sort_unstable();
    let reckoned = reckoned(&events);
    assert_eq!(nets, reckoned, "{whole:?}");
    let tax: i128 = reckoned.iter().map(|net| rounded(net * 19, 100)).sum();
    let net: i128 = reckoned.iter().sum();
    assert_eq!((cents(&whole.net), cents(&whole.tax), cents(&whole.due)), (net, tax, net + tax));
    let sha256 = Sha256::digest(&json).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert_eq!((kind.as_str(), &whole.sha256), ("application/json", &sha256));
    for (format, language, kind, begins, has) in [
        (DocumentFormat::Csv, "", "text/csv; charset=utf-8", "", "image"),
        (DocumentFormat::Html, "en", "text/html; charset=utf-8", "<!doctype html>", "1 Road"),
        (DocumentFormat::Html, "zh-CN", "text/html; charset=utf-8", "<!doctype html>", "zh-CN"),
        (DocumentFormat::Pdf, "en", "application/pdf", "%PDF-", ""),
    ] {
        let (_, said, content) = document(&shop, &issued.number, format, language).await;
        let text = String::from_utf8_lossy(&content);
        assert!(said == kind && text.starts_with(begins) && text.contains(has), "{format:?} {said} {}", text.len());
    }
}

#[test]
fn a_month_of_events_is_invoiced_to_the_cent_in_either_database() {
    bounded(async {
        a_month(&Database::Sqlite).await;
        a_month(&Database::postgres().await).await;
    });
}

#[test]
fn a_correction_is_taken_over_while_they_run_and_a_mistake_is_said_and_changes_nothing() {
    bounded(async {
        let shop = Shop::open(&Database::Sqlite, &[]).await;
        shop.tenant("acme", "payg", 6).await;
        let one = UsageEvent {
            id: vec![1; 16],
            time_unix_ms: first_of(6).unsigned_abs() + 1,
            tenant: "acme".into(),
            model: "text".into(),
            units: Some(Units { prompt_tokens: 10_000, ..Default::default() }),
            ..Default::default()
        };
        shop.used(&[one]).await;
        let old = issue_june(&shop).await;
        assert_eq!(old.total, "5.00");
        let path = shop.file.path().join("billing.toml");
        fs::write(&path, SOLD.replace("30.00", "35.00").replace("[[coupon]]\ncode = \"TENTH\"\nshare = \"10%\"", "")).unwrap();
        let said = async || {
            let log = shop.accounts.instance.log();
            ["plan \\\"pro\\\" says something else", "coupon \\\"TENTH\\\" is gone"].iter().all(|said| log.contains(said)).then_some(())
        };
        eventually("both mistakes are said", std::time::Duration::from_secs(20), said).await;
        let plans = shop.operator().list_plans(ListPlansRequest {}).await.unwrap().into_inner().plans;
        assert_eq!(plans.iter().find(|plan| plan.id == "pro").unwrap().fee.as_ref().unwrap().amount, "30.00");
        let known = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
        let known =
            torchmesh_billing::Moment::from_unix_ms(known.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64).unwrap();
        let fix =
            format!("[[correction]]\nid='fix'\nprice='text-1'\nknown='{known}'\nrate=[{{unit='prompt_tokens',per=1000,price='0.30'}}]");
        fs::write(&path, format!("{SOLD}\n{fix}")).unwrap();
        let reissue = async || {
            let asked = ReissueInvoiceRequest { number: old.number.clone() };
            match shop.operator().reissue_invoice(asked).await {
                Ok(made) => made.into_inner().invoice,
                Err(refused) => {
                    assert!(refused.message().contains("the same again"), "{refused:?}");
                    None
                }
            }
        };
        let new = eventually("the correction is known", std::time::Duration::from_secs(20), reissue).await;
        assert_eq!((&*new.total, &*new.replaces), ("3.00", &*old.number));
    });
}

#[test]
fn where_nothing_is_sold_the_remedy_is_told() {
    bounded(async {
        let accounts = Accounts::start(&Database::Sqlite, &[]).await;
        accounts.tenant("acme").await;
        let mut operator = accounts.billing(OPERATOR);
        for refused in [
            operator.list_plans(ListPlansRequest {}).await.unwrap_err(),
            operator.preview_invoice(PreviewInvoiceRequest { tenant: "acme".into() }).await.unwrap_err(),
            operator.issue_invoices(IssueInvoicesRequest::default()).await.unwrap_err(),
        ] {
            assert_eq!(refused.code(), Code::FailedPrecondition);
            assert!(refused.message().contains("billing.file"), "{refused:?}");
        }
    });
}

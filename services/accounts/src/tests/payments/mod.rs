//! Payments at a processor, with one that answers as Stripe does.

mod booking;
mod failing;
mod fake;
mod refunds;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use torchmesh_billing::When;

use super::{
    billing::{SOLD, Shop, at},
    member,
};
use crate::{
    access::{Asker, Role, TokenFile},
    billing::{self, PaymentKind},
    error::{Refusal, Result},
    page::Page,
    payments::{self, Notice, Payment, PaymentState, Payments, Stripe, StripeSettings},
};

use fake::Fake;

/// When an invoice is there.
const JULY: &str = "2026-07-01";

/// Accounts with a processor, and an invoice of 30.00.
struct Till {
    shop: Shop,
    fake: Fake,
    payments: Payments,
    number: String,
    /// How often a payment was begun: a millisecond each, which they are listed by.
    begun: AtomicI64,
}

impl Till {
    async fn open() -> Self {
        Self::selling(SOLD).await
    }

    async fn selling(sold: &str) -> Self {
        let (shop, fake) = (Shop::selling(sold).await, Fake::open().await);
        shop.start("pro", "2026-06-01").await;
        shop.subscribe("payg", When::PeriodEnd, "2026-06-02").await.unwrap();
        let number = shop.issue(JULY).await.remove(0).number;
        let payments = payments(&shop, &fake.address());
        Self { shop, fake, payments, number, begun: AtomicI64::default() }
    }

    async fn begin_at(&self, now: i64) -> Result<Payment> {
        payments::begin(&self.payments, &self.shop.billing, &self.shop.store, &Asker::Operator, &self.number, now).await
    }

    async fn begin(&self) -> Result<Payment> {
        self.begin_at(at(JULY) + self.begun.fetch_add(1, Ordering::Relaxed)).await
    }

    async fn notice_at(&self, body: &[u8], now: i64) -> Result<()> {
        let signature = fake::signature(body, now);
        let notice = Notice { body, signature: &signature };
        payments::take_notice(&self.payments, &self.shop.billing, &self.shop.store, notice, now).await
    }

    /// Stripe tells of a session.
    async fn told(&self, kind: &str, session: &str) -> Result<()> {
        self.notice_at(&self.fake.event(kind, session), at("2026-07-02")).await
    }

    async fn look(&self, now: i64) -> Result<()> {
        payments::look(&self.payments, &self.shop.billing, &self.shop.store, now).await
    }

    async fn kept(&self) -> Vec<Payment> {
        payments::list(&self.shop.store, &self.shop.acme, "", &Page::of(9, "").unwrap()).await.unwrap()
    }

    async fn states(&self) -> Vec<PaymentState> {
        self.kept().await.iter().map(|payment| payment.state).collect()
    }

    /// The payments in the ledger.
    async fn booked(&self) -> Vec<String> {
        let posted = billing::ledger(&self.shop.store, Some(&self.shop.acme), &Page::of(99, "").unwrap()).await.unwrap();
        posted.iter().map(|posted| posted.entry.id().to_owned()).filter(|id| id.starts_with("payment/")).collect()
    }

    async fn payable(&self) -> Option<String> {
        let kept = billing::find_invoice(&self.shop.store, &Asker::Operator, &self.number).await.unwrap();
        payments::payable(&self.payments, &self.shop.store, &kept).await.unwrap().map(|amount| amount.to_string())
    }
}

/// What asks a processor at this address, and is patient for half a second.
fn payments(shop: &Shop, address: &str) -> Payments {
    let file = |name: &str, text: &str| {
        let path = shop.folder.path().join(name);
        fs::write(&path, text).unwrap();
        TokenFile::open(path).unwrap()
    };
    let settings = StripeSettings {
        address: address.to_owned(),
        secret_key: file("stripe.key", fake::KEY),
        webhook_secret: file("stripe.webhook", fake::SECRET),
        return_link: "https://portal.example.org".to_owned(),
    };
    Payments::with(Arc::new(Stripe::waiting(settings, Duration::from_millis(500)).unwrap()))
}

#[tokio::test]
async fn a_payment_is_asked_for_as_stripe_documents_it_and_once() {
    let till = Till::open().await;
    assert_eq!(till.payable().await.unwrap(), "30.00 EUR");
    let begun = till.begin().await.unwrap();
    assert_eq!(begun.url, "https://checkout.stripe.com/c/pay/cs_test_1");
    let asked = till.fake.got().remove(0);
    assert_eq!((asked.line.as_str(), asked.key.as_str()), ("POST /v1/checkout/sessions", begun.id.as_str()));
    let page = format!("https://portal.example.org/console/billing/invoices/{}", till.number);
    for (name, value) in [
        ("mode", "payment"),
        ("client_reference_id", &begun.id),
        ("line_items[0][quantity]", "1"),
        ("line_items[0][price_data][currency]", "eur"),
        ("line_items[0][price_data][unit_amount]", "3000"),
        ("line_items[0][price_data][product_data][name]", &format!("Invoice {}", till.number)),
        ("metadata[invoice]", &till.number),
        ("metadata[tenant]", &till.shop.acme.id),
        ("success_url", &format!("{page}?told=paying")),
        ("cancel_url", &page),
    ] {
        assert_eq!(asked.field(name), value, "{name}");
    }
    let (one, two) = tokio::join!(till.begin(), till.begin());
    assert_eq!((one.unwrap().url, two.unwrap().url), (begun.url.clone(), begun.url));
    assert_eq!((till.fake.sessions(), till.states().await), (1, vec![PaymentState::Begun]));
}

#[tokio::test]
async fn currencies_without_a_smaller_unit_are_asked_for_in_whole_ones() {
    let sold = SOLD.replace("EUR", "JPY").replace("0.50", "50").replace("1.50", "150").replace("0.01", "1").replace("30.00", "3000");
    let till = Till::selling(&sold).await;
    let begun = till.begin().await.unwrap();
    assert_eq!(till.fake.got()[0].field("line_items[0][price_data][unit_amount]"), "3000");
    till.fake.pay(&begun.session, "pi_yen");
    till.told("checkout.session.completed", &begun.session).await.unwrap();
    assert_eq!(till.shop.owed().await, "0");
}

#[tokio::test]
async fn two_who_begin_at_once_begin_one_payment() {
    let till = Till::open().await;
    let (one, two, three) = tokio::join!(till.begin(), till.begin(), till.begin());
    let [one, two, three] = [one, two, three].map(|begun| begun.unwrap().session);
    assert!(one == two && two == three);
    assert_eq!((till.fake.sessions(), till.kept().await.len()), (1, 1));
}

#[tokio::test]
async fn owners_admins_and_billing_pay_and_nobody_else_does_or_sees_the_invoice() {
    let till = Till::open().await;
    let ask = async |asker: &Asker, number: &str| {
        payments::begin(&till.payments, &till.shop.billing, &till.shop.store, asker, number, at(JULY)).await
    };
    for role in [Role::Developer, Role::Viewer] {
        assert!(matches!(ask(&member(&till.shop.acme, role), &till.number).await, Err(Refusal::Denied(_))), "{role:?}");
    }
    let bolt = super::tenant(&till.shop.store, "bolt").await;
    assert!(matches!(ask(&member(&bolt, Role::Owner), &till.number).await, Err(Refusal::Absent(_))));
    assert!(matches!(ask(&Asker::Operator, "INV-9").await, Err(Refusal::Absent(_))));
    assert!(matches!(ask(&Asker::Anybody, &till.number).await, Err(Refusal::Denied(_))));
    for role in [Role::Owner, Role::Admin, Role::Billing] {
        ask(&member(&till.shop.acme, role), &till.number).await.unwrap();
    }
    let off = Payments::new(payments::PaymentSettings::default()).unwrap();
    let refused = payments::begin(&off, &till.shop.billing, &till.shop.store, &Asker::Operator, &till.number, at(JULY)).await;
    assert!(matches!(refused, Err(Refusal::State(why)) if why.contains("payments.processor")));
}

#[tokio::test]
async fn no_more_is_asked_for_than_is_owed_and_a_page_that_asks_for_more_is_closed() {
    let till = Till::open().await;
    let first = till.begin().await.unwrap();
    till.shop.pay("bank-1", PaymentKind::Received, "20.00", "2026-07-02").await.unwrap();
    let second = till.begin().await.unwrap();
    assert_eq!((second.amount.number(), second.session == first.session), ("10.00".to_owned(), false));
    assert_eq!(till.states().await, [PaymentState::Begun, PaymentState::Expired]);
    till.shop.pay("bank-2", PaymentKind::Received, "10.00", "2026-07-02").await.unwrap();
    assert_eq!(till.payable().await, None);
    assert!(matches!(till.begin().await, Err(Refusal::State(why)) if why.contains("nothing is to be paid")));
    assert_eq!(till.states().await, [PaymentState::Expired; 2]);
}

#[tokio::test]
async fn no_secret_is_printed_or_kept() {
    let till = Till::open().await;
    let begun = till.begin().await.unwrap();
    let shown = format!("{:?} {begun:?} {:?}", till.payments, till.kept().await);
    for secret in [fake::KEY, fake::SECRET, "checkout.stripe.com"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    for file in fs::read_dir(till.shop.folder.path())
        .unwrap()
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().starts_with("accounts.db"))
    {
        let bytes = fs::read(file.path()).unwrap();
        for secret in [fake::KEY, fake::SECRET] {
            assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{:?}", file.path());
        }
    }
}

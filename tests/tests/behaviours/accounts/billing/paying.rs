//! Invoices that are paid at a payment processor.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use tonic::Code;
use torchmesh_api::accounts::v1::{
    BeginPaymentRequest, IssueInvoicesRequest, ListLedgerRequest, ListPaymentsRequest, PaymentState, TakePaymentNoticeRequest,
};
use torchmesh_tests::{
    accounts::Database,
    bounded,
    checkout::{Checkout, KEY, SECRET},
};

use super::{Shop, first_of};

async fn pays(database: &Database) {
    let (checkout, secrets) = (Checkout::start().await, tempfile::tempdir().unwrap());
    let file = |name: &str, text: &str| {
        let path = secrets.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (key, secret, address) = (file("key", KEY), file("secret", SECRET), checkout.address());
    let settings = [
        ("payments.processor", "stripe"),
        ("payments.secret_key_file", &key),
        ("payments.webhook_secret_file", &secret),
        ("payments.address", &address),
        ("payments.return_link", "https://portal.example.org"),
    ];
    let mut shop = Shop::open(database, &settings).await;
    shop.tenant("acme", "pro", 6).await;
    let june = IssueInvoicesRequest { until_unix_ms: first_of(7), ..Default::default() };
    let invoice = shop.operator().issue_invoices(june).await.unwrap().into_inner().issued.remove(0).number;
    let begin = BeginPaymentRequest { invoice: invoice.clone() };
    let begun = shop.operator().begin_payment(begin.clone()).await.unwrap().into_inner();
    assert_eq!(begun.url, "https://checkout.stripe.com/c/pay/cs_test_1");
    shop.accounts.killed_and_started().await;
    let again = shop.operator().begin_payment(begin.clone()).await.unwrap().into_inner();
    assert_eq!(again.payment.unwrap().id, begun.payment.unwrap().id);

    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (body, signature) = checkout.paid("pi_1", now);
    let notice = TakePaymentNoticeRequest { body: body.to_vec(), signature };
    let forged = TakePaymentNoticeRequest { signature: notice.signature.replace("v1=", "v1=00"), ..notice.clone() };
    assert_eq!(shop.operator().take_payment_notice(forged).await.unwrap_err().code(), Code::InvalidArgument);
    // Nobody's token is needed, and one that is not good is no matter.
    let mut anybody = shop.accounts.billing("not-a-token-of-anybody");
    let mut another = anybody.clone();
    let (one, two) = tokio::join!(anybody.take_payment_notice(notice.clone()), another.take_payment_notice(notice.clone()));
    one.and(two).unwrap();
    shop.accounts.killed_and_started().await;
    shop.operator().take_payment_notice(notice).await.unwrap();

    let listed = ListPaymentsRequest { invoice, ..Default::default() };
    let listed = shop.operator().list_payments(listed).await.unwrap().into_inner();
    assert_eq!((listed.processor.as_str(), listed.payable, listed.payments.len()), ("stripe", None, 1));
    assert_eq!((listed.payments[0].state(), listed.payments[0].entry.as_str()), (PaymentState::Booked, "payment/acme/pi_1"));
    let ledger = shop.operator().list_ledger(ListLedgerRequest { tenant: "acme".into(), ..Default::default() }).await.unwrap().into_inner();
    assert_eq!(ledger.entries.iter().filter(|entry| entry.id.starts_with("payment/")).count(), 1);
    assert_eq!(shop.operator().begin_payment(begin).await.unwrap_err().code(), Code::FailedPrecondition, "it is paid");
}

#[test]
fn a_payment_is_booked_once_in_either_database_whoever_is_killed() {
    bounded(async {
        pays(&Database::Sqlite).await;
        pays(&Database::postgres().await).await;
    });
}

//! `/console/billing/invoices/{number}`: one, and as a document to download.

use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use maud::{Markup, html};
use torchmesh_api::accounts::v1::{Document, DocumentFormat, GetInvoiceRequest, GetInvoiceResponse, Invoice, InvoiceState};

use super::{
    super::{Page, Place, parts},
    billing::{amount, invoice_path, period},
    payments,
};
use crate::{
    fail::{Answer, Fail},
    figures,
    guard::headers,
    visit::{Person, Visit},
};

const FORMATS: [(&str, DocumentFormat); 4] =
    [("pdf", DocumentFormat::Pdf), ("html", DocumentFormat::Html), ("csv", DocumentFormat::Csv), ("json", DocumentFormat::Json)];

/// A list of them; `named` shows a number, such as by leading to its page.
pub(in crate::pages) fn table(visit: &Visit, invoices: &[Invoice], named: impl Fn(&str) -> Markup) -> Markup {
    if invoices.is_empty() {
        return parts::empty(visit.say("billing.no_invoices"), html! {});
    }
    let heads = ["billing.number", "billing.period", "billing.issued", "billing.state"];
    parts::scroll(
        visit.say("billing.invoices"),
        html! {
            table {
                thead { tr { @for head in heads { th scope="col" { (visit.say(head)) } } th.number scope="col" { (visit.say("billing.total")) } } }
                tbody {
                    @for invoice in invoices {
                        tr {
                            th.mono scope="row" { (named(&invoice.number)) }
                            td { (period(invoice.period.as_ref())) }
                            td { (figures::day(invoice.issued_unix_ms)) }
                            td { (state(visit, invoice)) }
                            td.number { (amount(&invoice.total, &invoice.currency)) }
                        }
                    }
                }
            }
        },
    )
}

fn state(visit: &Visit, invoice: &Invoice) -> Markup {
    match invoice.state() {
        InvoiceState::Issued => parts::badge("good", visit.say("invoice.state.issued")),
        InvoiceState::Replaced => parts::badge("plain", visit.say("invoice.state.replaced")),
        InvoiceState::PartlyCredited => parts::badge("waiting", visit.say("invoice.state.partly_credited")),
        InvoiceState::Credited => parts::badge("plain", visit.say("invoice.state.credited")),
        InvoiceState::Unspecified => html! {},
    }
}

/// What is on an invoice, and what it comes to.
pub(super) fn lines(visit: &Visit, invoice: &Invoice) -> Markup {
    let money = |text: &str| amount(text, &invoice.currency);
    parts::scroll(
        visit.say("billing.lines"),
        html! {
            table {
                thead { tr {
                    th scope="col" { (visit.say("billing.line")) }
                    @for head in ["billing.quantity", "billing.unit_price", "billing.amount"] { th.number scope="col" { (visit.say(head)) } }
                } }
                tbody {
                    @for line in &invoice.lines {
                        tr {
                            th scope="row" { (line.kind) @if !line.model.is_empty() { " · " span.mono { (line.model) } " · " (line.unit) } }
                            td.number { @if line.quantity > 0 { (figures::grouped(i64::try_from(line.quantity).unwrap_or(i64::MAX))) } }
                            td.number { @if !line.unit_price.is_empty() { (line.unit_price) @if line.per > 1 { " / " (line.per) } } }
                            td.number { (line.net) }
                        }
                    }
                }
                tfoot {
                    tr { th scope="row" colspan="3" { (visit.say("billing.net")) } td.number { (money(&invoice.net)) } }
                    tr { th scope="row" colspan="3" { (visit.say("billing.tax")) } td.number { (money(&invoice.tax)) } }
                    tr.total { th scope="row" colspan="3" { (visit.say("billing.total")) } td.number { (money(&invoice.total)) } }
                }
            }
        },
    )
}

/// The language of a document: a PDF is in English.
pub(super) fn language(visit: &Visit, format: DocumentFormat) -> String {
    if format == DocumentFormat::Pdf { String::new() } else { visit.language.tag().to_owned() }
}

/// The format of a word.
pub(super) fn format_of(word: &str) -> Answer<DocumentFormat> {
    FORMATS.into_iter().find(|(name, _)| *name == word).map(|(_, format)| format).ok_or_else(Fail::absent)
}

/// What leads to the documents of a page.
pub(super) fn downloads(path: &str) -> Markup {
    html! { @for (name, _) in FORMATS { a.button href={ (path) "/" (name) } { (name.to_uppercase()) } } }
}

async fn get(visit: &Visit, person: &Person, number: String, format: DocumentFormat) -> Answer<GetInvoiceResponse> {
    let accounts = &visit.app().accounts;
    let asked = GetInvoiceRequest { number, format: format.into(), language: language(visit, format) };
    Ok(accounts.billing(person.token()).get_invoice(accounts.ask(asked)).await?.into_inner())
}

/// One of them.
pub async fn show(visit: Visit, person: Person, Path(number): Path<String>) -> Answer {
    let (told, paid) =
        tokio::join!(get(&visit, &person, number.clone(), DocumentFormat::Unspecified), payments::of(&visit, &person, number));
    let (invoice, paid) = (told?.invoice.ok_or_else(Fail::absent)?, paid?);
    let title = visit.texts().fill("billing.invoice", &[("number", &invoice.number)]);
    let body = html! {
        p.crumb { a href="/console/billing" { (visit.say("billing.title")) } }
        (parts::told(&visit))
        (parts::head(&title, &period(invoice.period.as_ref()), downloads(&invoice_path(&invoice.number))))
        p { (state(&visit, &invoice)) " " (figures::day(invoice.issued_unix_ms)) }
        (payments::button(&visit, &invoice.number, &paid))
        (lines(&visit, &invoice))
        (payments::table(&visit, &paid.payments))
    };
    let mut page = Page::new(Place::Billing, title, body).answer(&visit);
    if paid.payable.is_some() {
        page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(headers::PAYING));
    }
    Ok(page)
}

/// The same as a document.
pub async fn download(visit: Visit, person: Person, Path((number, format)): Path<(String, String)>) -> Answer {
    let document = get(&visit, &person, number, format_of(&format)?).await?.document.ok_or_else(Fail::absent)?;
    Ok(attachment(document))
}

/// A document. It is downloaded, never shown: what is in it is not ours to run.
pub(super) fn attachment(document: Document) -> Response {
    let plain: String = document.file_name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    let name = HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"")).unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_str(&document.content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], document.content).into_response()
}

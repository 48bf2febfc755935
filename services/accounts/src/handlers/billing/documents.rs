//! Documents that people and spreadsheets read.

use torchmesh_api::accounts::v1 as api;
use torchmesh_billing::{
    Statement,
    render::{self, Language},
};

use crate::{
    billing::{Kept, KeptNote},
    error::{Refusal, Result},
    tenants::Tenant,
};

/// The language of a document.
fn language(said: &str) -> Result<Language> {
    match said {
        "" | "en" => Ok(Language::English),
        "zh" | "zh-CN" => Ok(Language::Chinese),
        _ => Err(Refusal::Invalid("language: must be en or zh-CN".to_owned())),
    }
}

/// What a document can be made of.
pub(super) enum Source<'a> {
    Invoice(&'a Kept),
    /// A note, and the invoice that it belongs to.
    Note(&'a KeptNote, &'a Kept),
    /// A statement, who issues it, and whose it is.
    Statement(&'a Statement, &'a str, &'a Tenant),
}

/// A document in a format; none, where none is asked for.
pub(super) fn document(source: &Source<'_>, format: i32, said: &str) -> Result<Option<api::Document>> {
    let asked = api::DocumentFormat::try_from(format).map_err(|_| Refusal::Invalid("format: is none that there is".to_owned()))?;
    let language = language(said)?;
    let (number, look) = match source {
        Source::Invoice(kept) => (&kept.invoice.number, kept.look(language)),
        Source::Note(note, kept) => (&note.note.number, kept.look(language)),
        Source::Statement(made, issuer, tenant) => {
            (&made.number, render::Look { language, issuer, recipient: &tenant.display_name, note: "" })
        }
    };
    let (content_type, ending, content) = match asked {
        api::DocumentFormat::Unspecified => return Ok(None),
        api::DocumentFormat::Json => ("application/json", "json", json(source)?),
        api::DocumentFormat::Csv => ("text/csv; charset=utf-8", "csv", csv(source).into_bytes()),
        api::DocumentFormat::Html => ("text/html; charset=utf-8", "html", html(source, &look).into_bytes()),
        api::DocumentFormat::Pdf if language != Language::English => {
            return Err(Refusal::Invalid("language: a PDF is in English; the HTML can be printed".to_owned()));
        }
        api::DocumentFormat::Pdf => ("application/pdf", "pdf", pdf(source, &look)?),
    };
    let file_name = format!("{number}.{ending}");
    Ok(Some(api::Document { content_type: content_type.to_owned(), file_name, content }))
}

fn json(source: &Source<'_>) -> Result<Vec<u8>> {
    Ok(match source {
        Source::Invoice(kept) => kept.content.clone().into_bytes(),
        Source::Note(note, _) => note.content.clone().into_bytes(),
        Source::Statement(made, ..) => made.to_json()?.into_bytes(),
    })
}

fn csv(source: &Source<'_>) -> String {
    match source {
        Source::Invoice(kept) => render::invoice_csv(&kept.invoice),
        Source::Note(note, _) => render::note_csv(&note.note),
        Source::Statement(made, ..) => render::statement_csv(made),
    }
}

fn html(source: &Source<'_>, look: &render::Look<'_>) -> String {
    match source {
        Source::Invoice(kept) => render::invoice_html(&kept.invoice, look),
        Source::Note(note, _) => render::note_html(&note.note, look),
        Source::Statement(made, ..) => render::statement_html(made, look),
    }
}

fn pdf(source: &Source<'_>, look: &render::Look<'_>) -> Result<Vec<u8>> {
    Ok(match source {
        Source::Invoice(kept) => render::invoice_pdf(&kept.invoice, look)?,
        Source::Note(note, _) => render::note_pdf(&note.note, look)?,
        Source::Statement(made, ..) => render::statement_pdf(made, look)?,
    })
}

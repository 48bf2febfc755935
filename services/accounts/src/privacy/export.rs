//! Writes what is kept down as a JSON document: an object with a list of rows for each section.
//!
//! Page by page, each read on its own: a document of millions of calls holds nobody up, and what changes while it is written may be in it or not.

use sqlx::{AssertSqlSafe, Row as _, ValueRef as _, any::AnyRow, any::AnyTypeInfoKind};

use super::{
    sections::{self, Section},
    sink::Sink,
};
use crate::{
    error::{Refusal, Result},
    people::{Member, Outbox, subjects_of_attempts},
    store::Store,
    tenants::Tenant,
};

/// Rows of a page.
const ROWS: usize = 500;

/// What a page begins behind.
#[derive(Debug, Clone)]
enum Key {
    Number(i64),
    Text(String),
}

/// Everything about a tenant.
pub async fn export_tenant(store: &Store, tenant: &Tenant, with_events: bool, now: i64, sink: &mut Sink) -> Result<()> {
    begin(sink, "tenant", now).await;
    for section in sections::TENANT {
        rows(store, section, &tenant.id, sink).await?;
    }
    if with_events {
        rows(store, &sections::EVENTS, &tenant.id, sink).await?;
    }
    sink.put("\n}\n").await;
    Ok(())
}

/// Everything about a member.
pub async fn export_person(store: &Store, outbox: &Outbox, member: &Member, now: i64, sink: &mut Sink) -> Result<()> {
    begin(sink, "person", now).await;
    for section in sections::PERSON {
        rows(store, section, &member.id, sink).await?;
    }
    let names = ["failed_sign_ins", "reset_letters_asked_for", "failed_codes"];
    for (name, subject) in names.into_iter().zip(subjects_of_attempts(&member.email)) {
        rows(store, &sections::attempts(name), &subject, sink).await?;
    }
    let waiting = outbox.letters_to(std::slice::from_ref(&member.email)).await?.len();
    sink.put(&format!(",\n\"letters_in_the_outbox\":{waiting}\n}}\n")).await;
    Ok(())
}

async fn begin(sink: &mut Sink, of: &str, now: i64) {
    let time = torchmesh_ledger::time::rfc3339(u64::try_from(now).unwrap_or_default());
    sink.put(&format!("{{\n\"format\":\"torchmesh.export.v1\",\n\"of\":\"{of}\",\n\"exported\":\"{time}\"")).await;
}

async fn rows(store: &Store, section: &Section, of: &str, sink: &mut Sink) -> Result<()> {
    sink.put(&format!(",\n\"{}\":[", section.name)).await;
    let (mut behind, mut separator) = (None::<Vec<Key>>, "\n");
    while !sink.is_closed() {
        let query = sqlx::query(AssertSqlSafe(section.page(behind.is_none(), ROWS))).bind(of.to_owned());
        let query = behind.into_iter().flatten().fold(query, |query, key| match key {
            Key::Number(number) => query.bind(number),
            Key::Text(text) => query.bind(text),
        });
        let page = query.fetch_all(store.reads()?).await?;
        for row in &page {
            sink.put(separator).await;
            separator = ",\n";
            sink.put(&object(section, row)?).await;
        }
        let Some(last) = page.last().filter(|_| page.len() == ROWS) else { break };
        let keys = (0..section.order.len()).map(|at| key(last, section.columns.len() + at));
        behind = Some(keys.collect::<Result<_>>()?);
    }
    sink.put("]").await;
    Ok(())
}

fn key(row: &AnyRow, at: usize) -> Result<Key> {
    Ok(match row.try_get_raw(at)?.type_info().kind() {
        AnyTypeInfoKind::Text => Key::Text(row.try_get(at)?),
        _ => Key::Number(row.try_get(at)?),
    })
}

/// A row as an object: what is said of it by the columns' names.
fn object(section: &Section, row: &AnyRow) -> Result<String> {
    let mut object = "{".to_owned();
    for (at, column) in section.columns.iter().enumerate() {
        let is_json = column.starts_with("json:");
        let name = column.rsplit([':', '.']).next().unwrap_or(column);
        let value = row.try_get_raw(at)?;
        let told = match value.type_info().kind() {
            _ if value.is_null() => "null".to_owned(),
            AnyTypeInfoKind::Text if is_json => row.try_get(at)?,
            AnyTypeInfoKind::Text => serde_json::to_string(row.try_get::<&str, _>(at)?)?,
            AnyTypeInfoKind::SmallInt | AnyTypeInfoKind::Integer | AnyTypeInfoKind::BigInt => row.try_get::<i64, _>(at)?.to_string(),
            _ => return Err(Refusal::Fault),
        };
        let separator = if at == 0 { "" } else { "," };
        object.extend([separator, "\"", name, "\":", &told]);
    }
    object.push('}');
    Ok(object)
}

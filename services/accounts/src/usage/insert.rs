//! Events into SQLite: many rows in one statement, as values.

use std::{collections::BTreeMap, fmt::Write as _};

use sqlx::{Any, AnyConnection, AssertSqlSafe, Row as _, any::AnyArguments, query::Query};

use super::{Added, Event, Key, Period, Sums, measured::Place};
use crate::{error::Result, store::Store};

/// Rows of one statement: SQLite takes 32766 values at most.
const ROWS: usize = 500;
/// Sums of one statement: each statement goes to the database's thread and back.
const SUMS: usize = 64;
/// The columns of an event.
const COLUMNS: usize = 21;

/// The columns of an event, in their order.
pub(super) const EVENT: &str = "id, time_ms, tenant, credential, model, version, door, method, code, prompt_tokens, cached_tokens, completion_tokens, \
    items, audio_ms, bytes_in, bytes_out, compute_us, request_id, trace_id, source, duration_us";
/// The columns of a sum, in their order.
pub(super) const SUM: &str = "tenant, begin_ms, credential, model, version, calls, failed, prompt_tokens, cached_tokens, completion_tokens, items, \
    audio_ms, bytes_in, bytes_out, compute_us, last_ms";

/// What is done when there is a count already.
pub(super) const MEASURED: &str = "ON CONFLICT (model, begin_ms, bucket) DO UPDATE SET calls = usage_measured.calls + excluded.calls";

/// What is done when there is a sum already.
pub(super) fn added(table: &str) -> String {
    let columns = "calls failed prompt_tokens cached_tokens completion_tokens items audio_ms bytes_in bytes_out compute_us";
    let mut text = "ON CONFLICT (tenant, begin_ms, credential, model, version) DO UPDATE SET ".to_owned();
    for column in columns.split(' ') {
        let _ = write!(text, "{column} = {table}.{column} + excluded.{column}, ");
    }
    let _ = write!(text, "last_ms = CASE WHEN excluded.last_ms > {table}.last_ms THEN excluded.last_ms ELSE {table}.last_ms END");
    text
}

/// Takes events in; gives how many were new.
pub(super) async fn record(store: &Store, events: &[Event]) -> Result<u64> {
    let mut transaction = store.begin().await?;
    let mut new = Vec::with_capacity(events.len());
    for some in events.chunks(ROWS) {
        let text =
            format!("INSERT INTO usage_events ({EVENT}) VALUES {} ON CONFLICT (id) DO NOTHING RETURNING id", places(some.len(), COLUMNS));
        // A statement of every length is not worth keeping.
        let query = sqlx::query(AssertSqlSafe(text)).persistent(some.len() == ROWS);
        for row in some.iter().fold(query, bind).fetch_all(&mut *transaction).await? {
            new.push(row.try_get("id")?);
        }
    }
    let added = Added::of(events, &new);
    for (period, sums) in &added.sums {
        add(&mut transaction, *period, sums).await?;
    }
    measure(&mut transaction, &added.measured).await?;
    transaction.commit().await?;
    Ok(new.len() as u64)
}

async fn add(connection: &mut AnyConnection, period: Period, sums: &BTreeMap<Key, Sums>) -> Result<()> {
    let sums: Vec<(&Key, &Sums)> = sums.iter().collect();
    for some in sums.chunks(SUMS) {
        let text = format!("INSERT INTO {} ({SUM}) VALUES {} {}", period.table(), places(some.len(), 16), added(period.table()));
        let rows = sqlx::query(AssertSqlSafe(text)).persistent(some.len() == SUMS);
        let rows = some.iter().fold(rows, |rows, (key, sum)| {
            let row = rows.bind(key.tenant.clone()).bind(key.begin_ms).bind(key.credential.clone());
            let row = row.bind(key.model.clone()).bind(key.version.clone()).bind(sum.calls).bind(sum.failed);
            sum.units.iter().fold(row, |row, unit| row.bind(*unit)).bind(sum.last_ms)
        });
        rows.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn measure(connection: &mut AnyConnection, counts: &BTreeMap<Place, i64>) -> Result<()> {
    let counts: Vec<(&Place, &i64)> = counts.iter().collect();
    for some in counts.chunks(SUMS) {
        let text = format!("INSERT INTO usage_measured (model, begin_ms, bucket, calls) VALUES {} {MEASURED}", places(some.len(), 4));
        let rows = sqlx::query(AssertSqlSafe(text)).persistent(some.len() == SUMS);
        let rows = some
            .iter()
            .fold(rows, |rows, ((model, begin_ms, bucket), calls)| rows.bind(model.clone()).bind(*begin_ms).bind(*bucket).bind(**calls));
        rows.execute(&mut *connection).await?;
    }
    Ok(())
}

/// `(?, ?), (?, ?)`. Without numbers: SQLite looks for one that has a name among all that came before.
fn places(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    vec![row; rows].join(", ")
}

fn bind<'q>(query: Query<'q, Any, AnyArguments>, event: &Event) -> Query<'q, Any, AnyArguments> {
    let query = query.bind(event.id.clone()).bind(event.time_ms).bind(event.tenant.clone()).bind(event.credential.clone());
    let query = query.bind(event.model.clone()).bind(event.version.clone()).bind(event.door).bind(event.method.clone()).bind(event.code);
    let query = event.units.iter().fold(query, |query, unit| query.bind(*unit));
    let query = query.bind(event.request_id.clone()).bind(event.trace_id.clone()).bind(event.source.clone());
    query.bind(event.duration_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_places() {
        assert_eq!(places(2, 2), "(?, ?), (?, ?)");
        assert_eq!(EVENT.split(", ").count(), COLUMNS);
        assert_eq!(SUM.split(", ").count(), 16);
    }
}

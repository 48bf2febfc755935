//! Events into PostgreSQL: a statement for each table, with a column of all rows as one array.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};

use super::{
    Added, Event, Key, Period, Sums,
    insert::{EVENT, MEASURED, SUM, added},
    measured::Place,
};
use crate::error::Result;

/// The types of an event's columns.
const EVENT_TYPES: [&str; 21] = [
    "text", "bigint", "text", "text", "text", "text", "bigint", "text", "bigint", "bigint", "bigint", "bigint", "bigint", "bigint",
    "bigint", "bigint", "bigint", "text", "text", "text", "bigint",
];
/// The types of a sum's columns.
const SUM_TYPES: [&str; 16] = [
    "text", "bigint", "text", "text", "text", "bigint", "bigint", "bigint", "bigint", "bigint", "bigint", "bigint", "bigint", "bigint",
    "bigint", "bigint",
];

/// `UNNEST($1::text[], $2::bigint[])`.
fn unnest(types: &[&str]) -> String {
    let places = types.iter().enumerate().map(|(at, kind)| format!("${}::{kind}[]", at + 1));
    format!("UNNEST({})", places.collect::<Vec<_>>().join(", "))
}

/// Takes events in; gives how many were new.
pub(super) async fn record(pool: &PgPool, events: &[Event]) -> Result<u64> {
    let mut transaction = pool.begin().await?;
    let text =
        format!("INSERT INTO usage_events ({EVENT}) SELECT * FROM {} ON CONFLICT (id) DO NOTHING RETURNING id", unnest(&EVENT_TYPES));
    let texts = |of: fn(&Event) -> &str| events.iter().map(|event| of(event).to_owned()).collect::<Vec<String>>();
    let figures = |of: fn(&Event) -> i64| events.iter().map(of).collect::<Vec<i64>>();
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(texts(|event| &event.id)).bind(figures(|event| event.time_ms));
    query = query.bind(texts(|event| &event.tenant)).bind(texts(|event| &event.credential)).bind(texts(|event| &event.model));
    query = query.bind(texts(|event| &event.version)).bind(figures(|event| event.door)).bind(texts(|event| &event.method));
    query = query.bind(figures(|event| event.code));
    for unit in 0..8 {
        query = query.bind(events.iter().map(|event| event.units[unit]).collect::<Vec<i64>>());
    }
    query = query.bind(texts(|event| &event.request_id)).bind(texts(|event| &event.trace_id)).bind(texts(|event| &event.source));
    let rows = query.bind(figures(|event| event.duration_us)).fetch_all(&mut *transaction).await?;
    let new = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<Vec<String>>>()?;
    let added = Added::of(events, &new);
    for (period, sums) in &added.sums {
        add(&mut transaction, *period, sums).await?;
    }
    // Last: these rows are everybody's, and held until the commit.
    measure(&mut transaction, &added.measured).await?;
    transaction.commit().await?;
    Ok(new.len() as u64)
}

async fn add(connection: &mut PgConnection, period: Period, sums: &BTreeMap<Key, Sums>) -> Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let text = format!("INSERT INTO {} ({SUM}) SELECT * FROM {} {}", period.table(), unnest(&SUM_TYPES), added(period.table()));
    let texts = |of: fn(&Key) -> &str| sums.keys().map(|key| of(key).to_owned()).collect::<Vec<String>>();
    let figures = |of: fn(&Sums) -> i64| sums.values().map(of).collect::<Vec<i64>>();
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(texts(|key| &key.tenant));
    query = query.bind(sums.keys().map(|key| key.begin_ms).collect::<Vec<i64>>());
    query = query.bind(texts(|key| &key.credential)).bind(texts(|key| &key.model)).bind(texts(|key| &key.version));
    query = query.bind(figures(|sum| sum.calls)).bind(figures(|sum| sum.failed));
    for unit in 0..8 {
        query = query.bind(sums.values().map(|sum| sum.units[unit]).collect::<Vec<i64>>());
    }
    query.bind(figures(|sum| sum.last_ms)).execute(connection).await?;
    Ok(())
}

async fn measure(connection: &mut PgConnection, counts: &BTreeMap<Place, i64>) -> Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    let rows = unnest(&["text", "bigint", "bigint", "bigint"]);
    let query =
        sqlx::query(AssertSqlSafe(format!("INSERT INTO usage_measured (model, begin_ms, bucket, calls) SELECT * FROM {rows} {MEASURED}")));
    let query = query.bind(counts.keys().map(|place| place.0.clone()).collect::<Vec<_>>());
    let query =
        query.bind(counts.keys().map(|place| place.1).collect::<Vec<_>>()).bind(counts.keys().map(|place| place.2).collect::<Vec<_>>());
    query.bind(counts.values().copied().collect::<Vec<_>>()).execute(connection).await?;
    Ok(())
}

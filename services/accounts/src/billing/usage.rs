//! What a tenant used, as sums that span no instant at which the way of rating changes.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};
use torchmesh_billing::{Moment, Rollup, Usage};

use super::{moment, ms};
use crate::{
    error::Result,
    usage::{BATCH, BATCHED},
};

const HOUR: i64 = 3_600_000;
/// The units of a call, summed, as `Usage` has them.
const SUMS: &str = "CAST(SUM(prompt_tokens) AS BIGINT) AS prompt, CAST(SUM(completion_tokens) AS BIGINT) AS completion, \
    CAST(SUM(items) AS BIGINT) AS items, CAST(SUM(audio_ms) AS BIGINT) AS audio, CAST(SUM(compute_us) AS BIGINT) AS compute";

/// From where to where, in milliseconds.
type Span = (i64, i64);

/// The parts of a time: whole hours, which have sums, and what is before and behind them, whose events are added up.
fn parts(from: i64, to: i64) -> (Option<Span>, Vec<Span>) {
    let (first, last) = (from + (HOUR - from % HOUR) % HOUR, to - to % HOUR);
    if first >= last {
        return (None, vec![(from, to)]);
    }
    let ends = [(from, first), (last, to)].into_iter().filter(|(from, to)| from < to).collect();
    (Some((first, last)), ends)
}

/// What a tenant used between the first and the last of these instants, cut at each, lines of batches apart; what is before `since` is left out.
pub async fn rollups(connection: &mut AnyConnection, tenant: &str, at: &BTreeSet<Moment>, since: Moment) -> Result<Vec<Rollup>> {
    let mut cuts: Vec<i64> = at.iter().map(|at| ms(*at)).collect();
    let since = ms(since);
    if cuts.first().is_some_and(|first| *first < since) {
        cuts.retain(|cut| *cut > since);
        cuts.insert(0, since);
    }
    let mut rollups = Vec::new();
    for time in cuts.windows(2) {
        let (hours, ends) = parts(time[0], time[1]);
        if let Some(hours) = hours {
            let text = format!(
                "SELECT model, version AS made, CAST(SUM(calls) AS BIGINT) AS calls, CAST(SUM(cached_tokens) AS BIGINT) AS cached, {SUMS} \
                 FROM usage_payable WHERE tenant = $1 AND begin_ms >= $2 AND begin_ms < $3 GROUP BY model, made ORDER BY model, made"
            );
            add(&mut *connection, text, tenant, hours, &mut rollups).await?;
        }
        for end in ends {
            let text = format!(
                "SELECT model, CASE WHEN door = {BATCH} THEN '{BATCHED}' ELSE '' END AS made, COUNT(*) AS calls, \
                 CAST(SUM(CASE WHEN cached_tokens > prompt_tokens THEN prompt_tokens ELSE cached_tokens END) AS BIGINT) AS cached, {SUMS} \
                 FROM usage_events WHERE tenant = $1 AND time_ms >= $2 AND time_ms < $3 AND model <> '' \
                 AND (code = 0 OR (code IN (1, 4) AND prompt_tokens + completion_tokens + items + audio_ms > 0)) GROUP BY model, made ORDER BY model, made"
            );
            add(&mut *connection, text, tenant, end, &mut rollups).await?;
        }
    }
    Ok(rollups)
}

async fn add(connection: &mut AnyConnection, text: String, tenant: &str, (from, to): Span, rollups: &mut Vec<Rollup>) -> Result<()> {
    let query = sqlx::query(AssertSqlSafe(text)).bind(tenant.to_owned()).bind(from).bind(to);
    for row in query.fetch_all(connection).await? {
        let figure = |name: &str| row.try_get::<i64, _>(name).map(i64::unsigned_abs);
        let usage = Usage {
            calls: figure("calls")?,
            prompt_tokens: figure("prompt")?,
            cached_tokens: figure("cached")?,
            completion_tokens: figure("completion")?,
            items: figure("items")?,
            audio_ms: figure("audio")?,
            compute_us: figure("compute")?,
        };
        // As one call or as a line of a batch.
        let batch = row.try_get::<String, _>("made")? == BATCHED;
        rollups.push(Rollup { from: moment(from)?, to: moment(to)?, model: row.try_get("model")?, usage, batch });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_hours_are_taken_from_sums_and_their_ends_from_events() {
        assert_eq!(parts(0, 2 * HOUR), (Some((0, 2 * HOUR)), vec![]));
        assert_eq!(parts(5, 2 * HOUR + 7), (Some((HOUR, 2 * HOUR)), vec![(5, HOUR), (2 * HOUR, 2 * HOUR + 7)]));
        assert_eq!(parts(5, HOUR + 7), (None, vec![(5, HOUR + 7)]));
    }

    proptest! {
        #[test]
        fn the_parts_of_a_time_are_all_of_it_and_none_of_it_twice(from in 0..9 * HOUR, length in 1..9 * HOUR) {
            let (hours, ends) = parts(from, from + length);
            let mut all: Vec<Span> = ends.into_iter().chain(hours).collect();
            all.sort_unstable();
            prop_assert_eq!((all[0].0, all[all.len() - 1].1), (from, from + length));
            prop_assert!(all.windows(2).all(|pair| pair[0].1 == pair[1].0));
        }
    }
}

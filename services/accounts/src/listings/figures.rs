//! What the mesh has measured of models: told where there are enough calls, and never how many exactly.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Row as _};

use crate::{
    error::Result,
    store::Store,
    usage::measured::{FAILED, quantile},
};

const DAY_MS: i64 = 86_400_000;
/// The times that there are figures of, in days.
const DAYS: [i64; 2] = [7, 30];
/// So many calls say something of most of them, and so many of the slowest in a hundred.
const ENOUGH: i64 = 100;
const ENOUGH_OF_SLOW: i64 = 1000;

/// The figures of some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.accounts.v1.ListingFigures`")]
pub struct Figures {
    pub days: i64,
    pub calls_at_least: i64,
    pub p50_us: i64,
    pub p99_us: i64,
    pub available_ppm: Option<i64>,
}

/// A number with its first digit alone.
fn first_digit(number: i64) -> i64 {
    let mut unit = 1;
    while number / unit >= 10 {
        unit *= 10;
    }
    number / unit * unit
}

/// The figures of so many calls in each bucket.
fn reckon(days: i64, mut buckets: BTreeMap<i64, i64>) -> Figures {
    let failed = buckets.remove(&FAILED).unwrap_or_default();
    let answered: i64 = buckets.values().sum();
    let all = answered + failed;
    let if_enough = |calls: i64, enough: i64, thousandths| if calls >= enough { quantile(&buckets, thousandths) } else { 0 };
    let share = || i64::try_from(i128::from(answered) * 1_000_000 / i128::from(all.max(1))).unwrap_or_default();
    Figures {
        days,
        calls_at_least: if all >= ENOUGH { first_digit(all) } else { 0 },
        p50_us: if_enough(answered, ENOUGH, 500),
        p99_us: if_enough(answered, ENOUGH_OF_SLOW, 990),
        available_ppm: (all >= ENOUGH).then(share),
    }
}

/// The figures of models over the last 7 and 30 days.
pub async fn figures(store: &Store, models: &[&str], now: i64) -> Result<BTreeMap<String, [Figures; 2]>> {
    if models.is_empty() {
        return Ok(BTreeMap::new());
    }
    let first = |days: i64| now - now.rem_euclid(DAY_MS) - (days - 1) * DAY_MS;
    let places = (3..models.len() + 3).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "SELECT model, bucket, CAST(SUM(CASE WHEN begin_ms >= $1 THEN calls ELSE 0 END) AS BIGINT) AS week, CAST(SUM(calls) AS BIGINT) AS month \
         FROM usage_measured WHERE begin_ms >= $2 AND model IN ({places}) GROUP BY model, bucket"
    );
    let query = sqlx::query(AssertSqlSafe(text)).persistent(models.len() == 1).bind(first(DAYS[0])).bind(first(DAYS[1]));
    let rows = models.iter().fold(query, |query, model| query.bind((*model).to_owned())).fetch_all(store.reads()?).await?;
    let mut counted = BTreeMap::<String, [BTreeMap<i64, i64>; 2]>::new();
    for row in &rows {
        let (bucket, of_model) = (row.try_get("bucket")?, counted.entry(row.try_get("model")?).or_default());
        for (buckets, column) in of_model.iter_mut().zip(["week", "month"]) {
            let calls: i64 = row.try_get(column)?;
            if calls > 0 {
                buckets.insert(bucket, calls);
            }
        }
    }
    Ok(counted.into_iter().map(|(model, [week, month])| (model, [reckon(DAYS[0], week), reckon(DAYS[1], month)])).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn too_few_calls_say_nothing() {
        let few = reckon(7, BTreeMap::from([(80, 99)]));
        assert_eq!((few.calls_at_least, few.p50_us, few.p99_us, few.available_ppm), (0, 0, 0, None));
        let some = reckon(7, BTreeMap::from([(FAILED, 1), (80, 199)]));
        assert_eq!((some.calls_at_least, some.p99_us, some.available_ppm), (200, 0, Some(995_000)));
        assert!(some.p50_us > 0 && reckon(7, BTreeMap::from([(80, 1000)])).p99_us > 0);
    }

    proptest! {
        #[test]
        fn how_many_calls_there_were_is_told_by_one_digit(calls in 0_i64..i64::MAX) {
            let told = first_digit(calls);
            prop_assert!(told <= calls && told.to_string().trim_end_matches('0').len() <= 1);
            prop_assert!(calls / 2 < told || calls == 0, "{told} of {calls}");
        }
    }
}

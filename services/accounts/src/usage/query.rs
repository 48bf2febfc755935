//! Asks for sums.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::Period;
use crate::{
    error::{Refusal, Result},
    page::Page,
    store::Store,
};

/// What tells sums from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum By {
    Tenant,
    Credential,
    Model,
    Version,
    Day,
    Hour,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The names of a tenant, a credential and a model; all of them when empty.
    pub only: [String; 3],
    /// From this moment on; from the first when 0.
    pub from_ms: i64,
    /// Before this moment; to the last when 0.
    pub to_ms: i64,
    /// One sum for each combination.
    pub by: Vec<By>,
}

/// A sum that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sum {
    /// Tenant, credential, model, version: those that were asked for.
    pub names: [String; 4],
    /// The day or the hour, where that was asked for.
    pub begin_ms: i64,
    /// Calls, those that failed, and the eight units in their order.
    pub figures: [i64; 10],
}

const NAMES: [&str; 4] = ["tenant", "credential", "model", "version"];
const FIGURES: [&str; 10] =
    ["calls", "failed", "prompt_tokens", "cached_tokens", "completion_tokens", "items", "audio_ms", "bytes_in", "bytes_out", "compute_us"];

impl Question {
    /// The shortest period whose sums answer it.
    fn period(&self) -> Result<Period> {
        let fits = |period: Period| self.from_ms % period.ms() == 0 && self.to_ms % period.ms() == 0;
        if self.from_ms < 0 || self.to_ms < 0 || (self.to_ms != 0 && self.to_ms <= self.from_ms) {
            return Err(Refusal::Invalid("to_unix_ms: must be behind from_unix_ms, or 0".to_owned()));
        }
        match (self.by.contains(&By::Hour), fits(Period::Day), fits(Period::Hour)) {
            (false, true, _) => Ok(Period::Day),
            (_, _, true) => Ok(Period::Hour),
            _ => Err(Refusal::Invalid("from_unix_ms, to_unix_ms: must be the beginnings of hours".to_owned())),
        }
    }

    /// What is grouped by: expressions, empty ones for what nobody asked for.
    fn groups(&self) -> [String; 5] {
        let named = [By::Tenant, By::Credential, By::Model, By::Version];
        let asked = |by: By| self.by.contains(&by) || (by == By::Model && self.by.contains(&By::Version));
        let mut groups = [(); 5].map(|()| String::new());
        for (at, by) in named.into_iter().enumerate() {
            groups[at + 1] = if asked(by) { NAMES[at].to_owned() } else { String::new() };
        }
        groups[0] = match (self.by.contains(&By::Hour), self.by.contains(&By::Day)) {
            (true, _) => "begin_ms".to_owned(),
            (false, true) => format!("begin_ms - begin_ms % {}", Period::Day.ms()),
            _ => String::new(),
        };
        groups
    }
}

/// Answers a question; pages go by the number of sums that came before.
pub async fn sum(store: &Store, question: &Question, page: &Page) -> Result<(Vec<Sum>, String)> {
    let (period, groups) = (question.period()?, question.groups());
    let skipped: i64 = match page.after.as_str() {
        "" => 0,
        text => text
            .parse()
            .ok()
            .filter(|skipped| *skipped >= 0)
            .ok_or_else(|| Refusal::Invalid("page_token: is not one that was given".to_owned()))?,
    };
    let mut text = format!("SELECT {} AS begin_ms", if groups[0].is_empty() { "CAST(0 AS BIGINT)" } else { &groups[0] });
    for (name, group) in NAMES.iter().zip(&groups[1..]) {
        let _ = write!(text, ", {} AS {name}", if group.is_empty() { "CAST('' AS TEXT)" } else { group });
    }
    for figure in FIGURES {
        let _ = write!(text, ", CAST(COALESCE(SUM({figure}), 0) AS BIGINT) AS {figure}");
    }
    let _ = write!(text, " FROM {} WHERE begin_ms >= $1 AND begin_ms < $2", period.table());
    let mut values = Vec::new();
    for (name, only) in NAMES.iter().zip(&question.only).filter(|(_, only)| !only.is_empty()) {
        let _ = write!(text, " AND {name} = ${}", values.len() + 5);
        values.push(only.clone());
    }
    let asked: Vec<&str> = groups.iter().map(String::as_str).filter(|group| !group.is_empty()).collect();
    if !asked.is_empty() {
        let _ = write!(text, " GROUP BY {0} ORDER BY {0}", asked.join(", "));
    }
    text.push_str(" LIMIT $3 OFFSET $4");
    let until = if question.to_ms == 0 { i64::MAX } else { question.to_ms };
    let query = sqlx::query(AssertSqlSafe(text)).bind(question.from_ms).bind(until).bind(page.limit()).bind(skipped);
    let rows = values.into_iter().fold(query, sqlx::query::Query::bind).fetch_all(store.reads()?).await?;
    let mut sums = rows.iter().map(read).collect::<Result<Vec<Sum>>>()?;
    let next = page.cut(&mut sums, |_| (skipped + page.size).to_string());
    Ok((sums, next))
}

fn read(row: &AnyRow) -> Result<Sum> {
    let mut sum = Sum { begin_ms: row.try_get("begin_ms")?, ..Sum::default() };
    for (into, name) in sum.names.iter_mut().zip(NAMES) {
        *into = row.try_get(name)?;
    }
    for (into, name) in sum.figures.iter_mut().zip(FIGURES) {
        *into = row.try_get(name)?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_answer_what_they_can_and_hours_the_rest() {
        let of = |from_ms, to_ms, by: &[By]| Question { from_ms, to_ms, by: by.to_vec(), ..Default::default() }.period();
        assert_eq!(of(0, 0, &[By::Model]), Ok(Period::Day));
        assert_eq!(of(86_400_000, 172_800_000, &[By::Day]), Ok(Period::Day));
        assert_eq!(of(86_400_000, 0, &[By::Hour]), Ok(Period::Hour));
        assert_eq!(of(3_600_000, 0, &[]), Ok(Period::Hour));
        assert!(of(1, 0, &[]).is_err() && of(7_200_000, 3_600_000, &[]).is_err() && of(-3_600_000, 0, &[]).is_err());
    }
}

//! What was used, and what was changed.

use serde::Serialize;
use torchmesh_api::accounts::v1::{
    ListChangesRequest, SumUsageRequest, UsageBy, UsageSum, usage_query_service_client::UsageQueryServiceClient,
};

use super::{Accounts, moment, open_metrics, refused};
use crate::{
    cli::UsageBy as By,
    error::Result,
    output::{Screen, short, table},
};

#[derive(Serialize)]
pub(super) struct Row {
    #[serde(skip)]
    pub(super) begin_ms: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    begin: String,
    pub(super) tenant: String,
    pub(super) key: String,
    pub(super) model: String,
    pub(super) version: String,
    pub(super) calls: i64,
    pub(super) failed: i64,
    pub(super) prompt_tokens: i64,
    pub(super) cached_tokens: i64,
    pub(super) completion_tokens: i64,
    pub(super) items: i64,
    pub(super) audio_ms: i64,
    pub(super) bytes_in: i64,
    pub(super) bytes_out: i64,
    pub(super) compute_us: i64,
}

impl Row {
    pub(super) fn of(sum: UsageSum, in_time: bool) -> Self {
        // 1970 began once: it is told as a moment where moments are asked for.
        let begin = if in_time { moment(sum.begin_unix_ms.max(1)) } else { String::new() };
        Self {
            begin_ms: sum.begin_unix_ms,
            begin,
            tenant: sum.tenant,
            key: sum.credential,
            model: sum.model,
            version: sum.version,
            calls: sum.calls,
            failed: sum.failed,
            prompt_tokens: sum.prompt_tokens,
            cached_tokens: sum.cached_tokens,
            completion_tokens: sum.completion_tokens,
            items: sum.items,
            audio_ms: sum.audio_ms,
            bytes_in: sum.bytes_in,
            bytes_out: sum.bytes_out,
            compute_us: sum.compute_us,
        }
    }
}

/// Sums up what was used.
pub(super) async fn sums(accounts: &Accounts, only: [String; 2], by: &[By], [from, to]: [i64; 2]) -> Result<Vec<Row>> {
    let asked_by = by.iter().map(|by| match by {
        By::Tenant => UsageBy::Tenant,
        By::Key => UsageBy::Credential,
        By::Model => UsageBy::Model,
        By::Version => UsageBy::Version,
        By::Day => UsageBy::Day,
        By::Hour => UsageBy::Hour,
    });
    let [tenant, model] = only;
    let mut asked = SumUsageRequest {
        tenant,
        model,
        from_unix_ms: from,
        to_unix_ms: to,
        by: asked_by.map(Into::into).collect(),
        page_size: 1000,
        ..Default::default()
    };
    let in_time = by.iter().any(|by| matches!(by, By::Day | By::Hour));
    let (mut rows, mut queries) = (Vec::new(), UsageQueryServiceClient::new(accounts.channel.clone()));
    loop {
        let page = queries.sum_usage(accounts.request(asked.clone())).await.map_err(refused)?.into_inner();
        rows.extend(page.sums.into_iter().map(|sum| Row::of(sum, in_time)));
        asked.page_token = page.next_page_token;
        if asked.page_token.is_empty() {
            break;
        }
    }
    Ok(rows)
}

/// Shows it.
pub(super) fn show(rows: &[Row], as_metrics: bool, screen: &Screen) -> Result<()> {
    let shown = |row: &Row| {
        let [begin, tenant, key, model, version] = [&row.begin, &row.tenant, &row.key, &row.model, &row.version]
            .map(|text| if text.is_empty() { "-".to_owned() } else { text.clone() });
        let [calls, failed, prompt, completion, items] =
            [row.calls, row.failed, row.prompt_tokens, row.completion_tokens, row.items].map(|figure| figure.to_string());
        [begin, tenant, key, model, version, calls, failed, prompt, completion, items]
    };
    let heading = ["from", "tenant", "key", "model", "version", "calls", "failed", "prompt", "written", "items"];
    screen.show(&rows, || if as_metrics { open_metrics::text(rows) } else { table(heading, rows.iter().map(shown)) })
}

#[derive(Serialize)]
struct Change {
    revision: i64,
    time: String,
    actor: String,
    what: String,
    detail: String,
    subject: String,
}

/// Lists the last hundred changes.
pub(super) async fn changes(accounts: &Accounts, tenant: Option<&str>, screen: &Screen) -> Result<()> {
    let asked = ListChangesRequest { tenant: tenant.unwrap_or_default().to_owned(), ..Default::default() };
    let found = accounts.client().list_changes(accounts.request(asked)).await.map_err(refused)?.into_inner().changes;
    let changes: Vec<Change> = found
        .into_iter()
        .map(|told| Change {
            revision: told.revision,
            time: moment(told.time_unix_ms),
            actor: told.actor,
            what: told.what,
            detail: told.detail,
            subject: told.subject,
        })
        .collect();
    let row = |change: &Change| {
        let [time, actor, what] = [&change.time, &change.actor, &change.what].map(Clone::clone);
        [change.revision.to_string(), time, actor, what, short(&change.detail, 60)]
    };
    screen.show(&changes, || table(["revision", "time", "by", "what", "detail"], changes.iter().map(row)))
}

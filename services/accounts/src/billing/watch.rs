//! What the accounts do by themselves: take over what is sold when its file changes, tell of budgets, stop calls, and issue invoices where they are to.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use torchmesh_runtime::lifecycle::Drain;

use super::{Billing, budgets, issue, stops};
use crate::{
    access::Asker,
    clock::now_ms,
    error::{Refusal, Result},
    page::Page,
    people::Outbox,
    store::Store,
    tenants::{self, Tenant},
};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Does so until the process drains.
pub async fn attend(billing: Billing, store: Store, outbox: Outbox, drain: Drain) {
    if billing.settings().file.is_none() {
        return nothing_is_sold(&store, &drain).await;
    }
    let (mut said, mut checked) = (String::new(), None::<Instant>);
    loop {
        look(&billing, &store, &mut said).await;
        if checked.is_none_or(|checked| checked.elapsed() >= billing.settings().check_every) && store.reads().is_ok() {
            checked = Some(Instant::now());
            if let Err(refusal) = round(&billing, &store, &outbox).await {
                tracing::warn!(?refusal, "budgets and stops could not be looked at; they are again in a while");
            }
        }
        tokio::select! {
            () = sleep(LOOK_EVERY.min(billing.settings().check_every)) => {}
            () = drain.draining() => return,
        }
    }
}

/// Where nothing is sold any more, nobody's calls are stopped.
async fn nothing_is_sold(store: &Store, drain: &Drain) {
    while let Err(refusal) = stops::end_all(store, now_ms()).await {
        if refusal != Refusal::Away {
            tracing::warn!(?refusal, "calls that were stopped could not be let go on; it is tried again");
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = drain.draining() => return,
        }
    }
}

/// Takes the file over, where it has changed; a mistake is said once, all of it.
async fn look(billing: &Billing, store: &Store, said: &mut String) {
    if store.reads().is_err() {
        return;
    }
    match billing.take_over(store, now_ms()).await {
        Ok(changed) => {
            said.clear();
            if changed {
                tracing::info!("what is sold was taken over from billing.file");
            }
        }
        Err(error) if error != *said => {
            tracing::error!(error, "billing.file cannot be what is sold; what was sold before goes on");
            *said = error;
        }
        Err(_) => {}
    }
}

/// Looks at every tenant once.
async fn round(billing: &Billing, store: &Store, outbox: &Outbox) -> Result<()> {
    let mut after = String::new();
    loop {
        let page = Page::of(1000, &after)?;
        let mut tenants = tenants::list(store, &Asker::Itself, &page).await?;
        after = page.cut(&mut tenants, |tenant| tenant.name.clone());
        for tenant in &tenants {
            // The time of each: a round may take long.
            match look_at(billing, store, outbox, tenant, now_ms()).await {
                Ok(()) => {}
                Err(Refusal::Away) => return Err(Refusal::Away),
                Err(refusal) => tracing::warn!(?refusal, tenant = tenant.name, "what the tenant has spent cannot be reckoned"),
            }
        }
        if after.is_empty() {
            return Ok(());
        }
    }
}

/// Issues a tenant's invoices where they issue themselves, and looks at its calls and budgets. What cannot be done of it does not keep the rest back.
///
/// Error: the first of those that there were.
pub async fn look_at(billing: &Billing, store: &Store, outbox: &Outbox, tenant: &Tenant, now: i64) -> Result<()> {
    let issued = match billing.settings().issue_after {
        Some(after) => {
            let until = now - i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
            issue(billing, store, &Asker::Itself, tenant, until.max(1), now).await.map(|_| ())
        }
        None => Ok(()),
    };
    let checked = stops::check(billing, store, tenant, now).await;
    let told = budgets::tell(billing, store, outbox, tenant, now).await.map(|_| ());
    issued.and(checked).and(told)
}

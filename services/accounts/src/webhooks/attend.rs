//! Sends what waits, for as long as the process runs: several webhooks at once, each of them in order.

use std::time::Duration;

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use torchmesh_runtime::lifecycle::{Drain, Unfinished};

use super::{courier::Courier, tidy};
use crate::{error::Result, sealing::reseal};

/// How often it is looked at whether something is due. What is new is looked at as it is written down.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often what is old is removed.
const TIDY_EVERY: Duration = Duration::from_secs(3600);
/// How often the file with the keys is looked at.
const READ_EVERY: Duration = Duration::from_secs(1);
/// So many webhooks at once are sent to.
const AT_ONCE: usize = 16;

/// Does so until the process drains; what is being sent then is waited for.
pub async fn attend(courier: Courier, drain: Drain, unfinished: Unfinished) {
    if courier.webhooks.keys().is_err() {
        return;
    }
    let (mut revision, mut running, mut done) = (courier.store.revision(), JoinSet::new(), Done::default());
    while !drain.is_draining() {
        revision.mark_unchanged();
        if courier.store.reads().is_ok() {
            let looked = look(&courier, &mut running, &drain, &mut done).await;
            if let Err(refusal) = looked {
                tracing::warn!(?refusal, "webhooks could not be looked at; they are again in a moment");
            }
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            _ = revision.changed() => {}
            Some(_) = running.join_next() => {}
            () = drain.draining() => {}
        }
    }
    while running.join_next().await.is_some() {}
    drop(unfinished);
}

/// What was done when, beside sending.
#[derive(Default)]
struct Done {
    begun: bool,
    tidied: Option<Instant>,
    read: Option<Instant>,
    /// The keys that there were then.
    keys: Vec<String>,
}

async fn look(courier: &Courier, running: &mut JoinSet<()>, drain: &Drain, done: &mut Done) -> Result<()> {
    if !done.begun {
        tidy::begin(courier).await?;
        done.begun = true;
    }
    if done.read.is_none_or(|read| read.elapsed() >= READ_EVERY) {
        done.read = Some(Instant::now());
        let keys = courier.webhooks.keys()?;
        keys.look();
        // Whoever has read a new key meanwhile: what is due once an hour is now.
        if keys.ids() != done.keys {
            (done.keys, done.tidied) = (keys.ids(), None);
        }
    }
    if done.tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY_EVERY) {
        tidy::remove_old(courier).await?;
        // Once an hour, too: another process may have sealed with an older key until it had read the new one.
        reseal(courier.webhooks.keys()?, &courier.store).await?;
        done.tidied = Some(Instant::now());
    }
    let room = AT_ONCE.saturating_sub(running.len());
    if room == 0 {
        return Ok(());
    }
    for webhook_id in courier.due(room).await? {
        if let Some(lease) = courier.claim(&webhook_id).await? {
            let (courier, drain) = (courier.clone(), drain.clone());
            running.spawn(async move { courier.work(lease, &drain).await });
        }
    }
    Ok(())
}

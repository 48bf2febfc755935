//! Rollouts in action: one router of all leads, looks at what every router has counted, and changes the routes as the [`rollout`](crate::rollout) decides.
//!
//! Nothing is remembered between two looks but what is stored. Counts are cumulative, so that whoever leads next sees what the last one saw.

mod book;
mod gather;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use torchmesh_discovery::Instances;

pub use self::{
    book::{Book, BookError, Entry},
    gather::{Gather, Standing},
};
use crate::{
    rollout::Sample,
    store::{Lead, now_ms},
};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What was seen is stored at least so often, for whoever asks how a rollout stands.
const STORE_EVERY_MS: u64 = 6_000;

/// Looks after the rollouts for as long as the process runs, whenever this router leads.
pub async fn conduct(book: Book, lead: Lead, gather: Arc<Gather>, routers: watch::Receiver<Instances>) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stored_ms = 0;
    loop {
        tick.tick().await;
        if !lead.holds() {
            continue;
        }
        let entries = match book.entries().await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, "the rollouts cannot be read; they stay as they are");
                continue;
            }
        };
        let open: Vec<_> = entries.into_iter().filter(|entry| !entry.settled).collect();
        if open.is_empty() {
            continue;
        }
        let instances = routers.borrow().clone();
        let counted = gather.all(&instances).await;
        let store_all = now_ms().saturating_sub(stored_ms) >= STORE_EVERY_MS;
        for entry in open {
            let samples = counted.iter().map(|one| one.sample(&entry.rollout.plan)).collect();
            // Between the question and here the lock may have been lost.
            if lead.holds()
                && let Err(error) = look(&book, entry, samples, store_all).await
            {
                tracing::warn!(%error, "a rollout cannot be conducted; it is tried again");
            }
        }
        if store_all {
            stored_ms = now_ms();
        }
    }
}

/// One look at one rollout.
async fn look(book: &Book, mut entry: Entry, samples: Vec<Sample>, store: bool) -> Result<(), BookError> {
    let before = entry.rollout.events.len();
    let changed = entry.rollout.observe(now_ms(), samples);
    for event in entry.rollout.events.get(before..).unwrap_or_default() {
        tracing::info!(model = %entry.rollout.plan.model, said = event.said, "a rollout");
    }
    // First what was decided, then what follows from it: a leader that ends between the two leaves the rest to the next.
    if (changed || store) && !book.replace(&mut entry).await? {
        return Ok(());
    }
    // Settled too early, a bad version would keep its calls.
    if book.route(&entry.rollout).await? && entry.rollout.has_ended() {
        entry.settled = true;
        book.replace(&mut entry).await?;
    }
    Ok(())
}

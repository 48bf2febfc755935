//! What happens to listings by itself: models are retired when their day has come, and those whom it concerns are told.

use std::time::Duration;

use sqlx::Row as _;
use tokio::time::sleep;
use torchmesh_runtime::lifecycle::Drain;

use super::{State, Step, change::step, notices};
use crate::{access::Asker, clock::now_ms, error::Result, store::Store};

/// How often it is looked at whether a day has come. What is new is looked at as it is written down.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long it waits after a look that failed, or after one that left something to do.
const AGAIN_IN: Duration = Duration::from_millis(500);

/// Does so until the process drains.
pub async fn attend(store: Store, drain: Drain) {
    let mut revision = store.revision();
    while !drain.is_draining() {
        revision.mark_unchanged();
        let more = match look(&store, now_ms()).await {
            Ok(more) => more,
            Err(refusal) => {
                if store.reads().is_ok() {
                    tracing::warn!(?refusal, "listings could not be looked at; they are again in a moment");
                }
                true
            }
        };
        tokio::select! {
            () = sleep(if more { AGAIN_IN } else { LOOK_EVERY }) => {}
            _ = revision.changed(), if !more => {}
            () = drain.draining() => {}
        }
    }
}

/// Retires what is due, and tells those who are to be told; gives whether there may be more.
pub async fn look(store: &Store, now: i64) -> Result<bool> {
    let due = sqlx::query("SELECT model FROM listings WHERE state = $1 AND retires_ms <= $2 LIMIT 100");
    let due = due.bind(State::Deprecated.as_str()).bind(now).fetch_all(store.reads()?).await?;
    for row in &due {
        let model: String = row.try_get("model")?;
        if let Err(refusal) = step(store, &Asker::Itself, (&model, 0), Step::Retire, "", now).await {
            // Somebody else has retired it, or put it off, since.
            tracing::info!(?refusal, model, "a model was not retired by itself");
        }
    }
    let told = notices::tell(store, now).await?;
    Ok(told > 0)
}

//! Carries events from the spool to where they are wanted: at least once, in their order, and acknowledged.

use std::{
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prost::Message as _;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use torchmesh_api::usage::v1::UsageEvent;
use torchmesh_spool::{Batch, Position, Reader};

use super::metrics::MeteringMetrics;

/// The most events of one delivery.
const BATCH: usize = 1000;
/// Events that come one by one are gathered for so long: what a delivery costs is its syncs, however many events are in it.
const GATHERED: Duration = Duration::from_millis(250);
/// How long a sink is left alone that did not take events: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// How often the age of what is not shipped is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Where events go.
pub trait Sink: Send + 'static {
    /// Its name, in metrics, in the log, and of the place up to which it has everything.
    const NAME: &'static str;

    /// Takes events: all of them or none, as far as anybody may rely on it. Events that were taken before may come again.
    ///
    /// Error: why not; they come again.
    fn take(&mut self, events: &[UsageEvent]) -> impl Future<Output = Result<(), String>> + Send;
}

/// Ships for as long as the process lives, on a thread of its own: reading and writing files blocks it.
pub async fn ship<S: Sink>(mut reader: Reader, mut reached: watch::Receiver<Position>, mut sink: S, metrics: MeteringMetrics) {
    let name = S::NAME;
    loop {
        reached.mark_unchanged();
        let batch = match reader.next(BATCH) {
            Ok(batch) if batch.records.is_empty() => {
                metrics.oldest(name, 0.0);
                // Its sender lives as long as the reader.
                let _ = reached.changed().await;
                sleep(GATHERED).await;
                continue;
            }
            Ok(batch) => batch,
            Err(error) => {
                tracing::error!(%error, sink = name, "the spool cannot be read");
                metrics.failed(name);
                sleep(PAUSE.1).await;
                continue;
            }
        };
        let events = decoded(&batch, name);
        deliver(&mut sink, &events, &metrics).await;
        metrics.shipped(name, events.len());
        if let Err(error) = reader.acknowledge(batch.end) {
            // What was taken is taken; it comes again only after a restart.
            tracing::error!(%error, sink = name, "the place up to which events were shipped cannot be kept");
            metrics.failed(name);
        }
    }
}

async fn deliver<S: Sink>(sink: &mut S, events: &[UsageEvent], metrics: &MeteringMetrics) {
    let (name, mut pause) = (S::NAME, PAUSE.0);
    loop {
        metrics.oldest(name, events.first().map_or(0.0, age));
        let Err(error) = sink.take(events).await else { return };
        metrics.failed(name);
        tracing::warn!(
            error,
            sink = name,
            events = events.len(),
            pause_s = pause.as_secs_f64(),
            "usage events were not taken; they are sent again"
        );
        wait(pause.mul_f64(0.5 + fastrand::f64()), || metrics.oldest(name, events.first().map_or(0.0, age))).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// Waits, and looks from time to time.
async fn wait(time: Duration, look: impl Fn()) {
    let end = tokio::time::Instant::now() + time;
    while timeout(LOOK_EVERY, tokio::time::sleep_until(end)).await.is_err() {
        look();
    }
}

fn age(event: &UsageEvent) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(event.time_unix_ms)).as_secs_f64()
}

fn decoded(batch: &Batch, sink: &'static str) -> Vec<UsageEvent> {
    if batch.damaged_bytes > 0 {
        tracing::error!(bytes = batch.damaged_bytes, sink, "the spool has bytes that are no records; something has changed them");
    }
    let read = |record: &Vec<u8>| match UsageEvent::decode(&**record) {
        Ok(event) => Some(event),
        Err(error) => {
            tracing::error!(%error, sink, "a record of the spool is no usage event");
            None
        }
    };
    batch.records.iter().filter_map(read).collect()
}

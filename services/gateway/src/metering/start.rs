//! Puts the meter together: the spool, and who ships from it.

use std::{io, thread, time::Duration};

use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    time::interval,
};
use torchmesh_relay::channel::Lazy;
use torchmesh_runtime::process::{Context, StartError};
use torchmesh_spool::{Figures, Found, Settings, Spool};

use super::{
    Meter, MeteringSettings,
    accounts::Accounts,
    files::Files,
    metrics::MeteringMetrics,
    ship::{Sink, ship},
};
use crate::audit::Audit;

/// A file of the spool of this size is followed by the next.
const SEGMENT_BYTES: u64 = 8 << 20;
/// How often the metrics take over what the spool has counted.
const COUNT_EVERY: Duration = Duration::from_millis(500);

/// Opens what the settings name and begins to ship; `None` where nothing is to be metered.
pub fn start(settings: &MeteringSettings, context: &Context) -> Result<Option<Meter>, StartError> {
    let Some(folder) = &settings.folder else { return Ok(None) };
    let readers = [("files", settings.files), ("accounts", settings.accounts.is_some()), ("audit", settings.audit)];
    let readers: Vec<&'static str> = readers.into_iter().filter_map(|(name, wanted)| wanted.then_some(name)).collect();
    if readers.is_empty() {
        return Err("metering.files and metering.audit are false and there is no metering.accounts: nobody would get the events".into());
    }
    sizes_are_errors(context)?;
    let told = |error: io::Error| format!("metering.folder: {error}");
    let spool = Settings {
        folder: folder.join("spool"),
        sync_every: settings.sync_every,
        max_bytes: settings.max_bytes,
        segment_bytes: SEGMENT_BYTES,
        readers,
    };
    let (spool, found) = Spool::open(spool).map_err(told)?;
    let Found { records, torn_bytes, damaged_bytes } = found;
    tracing::info!(records, torn_bytes, damaged_bytes, "the spool of usage events is open");
    let metrics = context.metrics.register(MeteringMetrics::register);
    context.control.spawn(count(spool.clone(), metrics.clone()));
    if settings.files {
        let files = Files::open(folder.join("usage"), settings.rotate_bytes).map_err(told)?;
        begin(&spool, &metrics, move || files)?;
    }
    if settings.audit {
        let audit = Audit::open(&folder.join("audit"), settings.rotate_bytes).map_err(told)?;
        begin(&spool, &metrics, move || audit)?;
    }
    if let Some(peer) = &settings.accounts {
        let token_file = settings.accounts_token_file.clone();
        let accounts = Lazy::to(peer).map_err(|error| format!("metering.accounts: {error}"))?;
        begin(&spool, &metrics, move || Accounts::over(accounts.channel(), token_file))?;
    }
    Ok(Some(Meter::new(spool, settings.when_full, metrics)))
}

/// Begins to ship to a sink, which is made on the thread that it then has for itself.
fn begin<S: Sink>(spool: &Spool, metrics: &MeteringMetrics, make: impl FnOnce() -> S + Send + 'static) -> Result<(), StartError> {
    // Not the spool itself: it ends with the calls.
    let (reader, reached, metrics) = (spool.reader(S::NAME)?, spool.reached(), metrics.clone());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let work = move || runtime.block_on(async { ship(reader, reached, make(), metrics).await });
    thread::Builder::new().name(format!("ship-{}", S::NAME)).spawn(work)?;
    Ok(())
}

async fn count(spool: Spool, metrics: MeteringMetrics) {
    let (mut tick, mut before) = (interval(COUNT_EVERY), Figures::default());
    loop {
        tick.tick().await;
        let now = spool.figures();
        metrics.spool(before, now);
        before = now;
    }
}

/// A file that may not grow is an error like a full disk, and not the end of the process, as it is unless somebody handles the signal.
fn sizes_are_errors(context: &Context) -> Result<(), StartError> {
    const SIGXFSZ: i32 = 25;
    let _entered = context.control.enter();
    // Handled from now on, also when nobody listens.
    drop(signal(SignalKind::from_raw(SIGXFSZ))?);
    Ok(())
}

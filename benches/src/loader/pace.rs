//! When calls begin: as soon as the one before has ended, or when they are due.

use std::{sync::Arc, time::Instant};

use tokio::{sync::Semaphore, task::JoinSet, time};

use super::{arrivals::Arrivals, connection::Connection, run::Run};

/// `callers` tasks, each with one call in flight; returns when the run is over.
pub(super) async fn in_closed_loop(run: &Arc<Run>, connections: &[Connection], callers: usize) {
    let mut tasks = JoinSet::new();
    for connection in connections.iter().cycle().take(callers) {
        tasks.spawn(keep_calling(run.clone(), connection.clone()));
    }
    end(run, tasks).await;
}

async fn keep_calling(run: Arc<Run>, connection: Connection) {
    let mut held = None;
    while run.may_begin() {
        run.call_once(&connection, &mut held, Instant::now()).await;
    }
}

/// A call at each of the moments, with at most `most_in_flight` at once; one that would exceed that counts as unsent.
pub(super) async fn in_open_loop(run: &Arc<Run>, connections: &[Connection], arrivals: Arrivals, most_in_flight: usize) {
    let room = Arc::new(Semaphore::new(most_in_flight));
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for (due, connection) in arrivals.zip(connections.iter().cycle()) {
        let due = started + due;
        if due > Instant::now() {
            time::sleep_until(due.into()).await;
        }
        if !run.may_begin() {
            break;
        }
        let Ok(permit) = room.clone().try_acquire_owned() else {
            run.skip();
            continue;
        };
        let (run, connection) = (run.clone(), connection.clone());
        tasks.spawn(async move {
            run.call_once(&connection, &mut None, due).await;
            drop(permit);
        });
        while tasks.try_join_next().is_some() {}
    }
    end(run, tasks).await;
}

/// Waits for the last answers, but not for ever.
async fn end(run: &Run, mut tasks: JoinSet<()>) {
    let all_done = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        () = all_done => {}
        () = run.until_last_answers() => {}
    }
}

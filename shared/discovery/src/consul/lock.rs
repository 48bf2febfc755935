//! One replica among several that does what only one may do: a key that is held by a session.
//!
//! Consul's documentation, "Sessions": a session that is not renewed within its time to live (and up to twice that) is gone, and with it what it held; the key then
//! stays free for the lock delay. The holder itself must stop earlier than that, by its own clock: [`Lead`].

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{Client, ConsulError, client::Ask};
use crate::agreed::Lead;

/// The least that Consul takes.
const TTL: Duration = Duration::from_secs(10);
/// After a session that ended without saying so. Consul's default of 15 s would keep a rollout without a leader for longer than it takes to be elected.
const DELAY: Duration = Duration::from_secs(1);
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Before the time to live, by which another may hold the key.
const TRUSTED_FOR: Duration = Duration::from_secs(8);

#[derive(Debug, Deserialize)]
struct Session {
    #[serde(rename = "ID")]
    id: String,
}

/// Tries to hold the key at `path` for as long as the answer, or a copy of it, is there; `name` is what others read of the holder. `until_gone` is dropped when the key was
/// given back after that, or Consul did not answer.
pub fn lead<G: Send + 'static>(client: Client, path: String, name: String, until_gone: G) -> Lead {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        let _until_gone = until_gone;
        let mut session = None;
        tokio::select! {
            () = sender.closed() => {}
            () = contend(&client, &path, &name, &sender, &mut session) => {}
        }
        // Others need not wait for the session to run out.
        if let Some(session) = session {
            let _ = client.ask(Ask::put(format!("/v1/session/destroy/{session}"), Vec::new())).await;
        }
    });
    Lead::new(receiver)
}

async fn contend(client: &Client, path: &str, name: &str, held: &watch::Sender<Option<Instant>>, session: &mut Option<String>) {
    loop {
        let asked = Instant::now();
        match turn(client, path, name, session).await {
            Ok(holds) => {
                if held.send_replace(holds.then(|| asked + TRUSTED_FOR)).is_some() != holds {
                    tracing::info!(key = path, holds, "the lock in Consul changed hands");
                }
            }
            // What was held is held until its time is up.
            Err(error) => tracing::debug!(key = path, %error, "the lock in Consul cannot be asked for"),
        }
        sleep(RENEW_EVERY.mul_f64(0.8 + 0.2 * fastrand::f64())).await;
    }
}

/// Renews the session, or makes one, and takes the key if it is free.
async fn turn(client: &Client, path: &str, name: &str, session: &mut Option<String>) -> Result<bool, ConsulError> {
    if let Some(known) = session.as_deref() {
        let answer = client.send(Ask::put(format!("/v1/session/renew/{known}"), Vec::new()), RENEW_EVERY).await?;
        if answer.status == 404 {
            *session = None;
        } else {
            answer.ok()?;
        }
    }
    if session.is_none() {
        *session = Some(open(client, path).await?);
    }
    client.acquire(path, session.as_deref().unwrap_or_default(), name).await
}

async fn open(client: &Client, path: &str) -> Result<String, ConsulError> {
    let wanted = json!({
        "Name": format!("torchmesh {path}"),
        "TTL": format!("{}s", TTL.as_secs()),
        "LockDelay": format!("{}s", DELAY.as_secs()),
        "Behavior": "release",
    });
    let made: Session = client.ask(Ask::put("/v1/session/create", wanted.to_string().into_bytes())).await?.json()?;
    Ok(made.id)
}

//! An instance says that it is there, for as long as it wants calls.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use tokio::{sync::watch, time::sleep};
use torchmesh_api::ids::InstanceId;

use super::{Client, ConsulError, client::Ask};
use crate::Zone;

/// Consul forgets an instance that has been in trouble for so long; a minute is the least that it takes.
const FORGET_AFTER: &str = "1m";
/// How soon a call to Consul that failed is made again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Who registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// The service, such as `worker`.
    pub service: &'static str,
    /// The instance's id, unique within the service.
    pub id: InstanceId,
    /// Where others reach it.
    pub addr: SocketAddr,
    /// Whether it speaks TLS there.
    pub tls: bool,
    /// The zone that it is in.
    pub zone: Option<Zone>,
}

/// What a registration depends on.
#[derive(Debug)]
pub struct Life<G> {
    /// Whether calls are wanted.
    pub ready: watch::Receiver<bool>,
    /// Whether the process is about to end.
    pub leaving: watch::Receiver<bool>,
    /// Dropped when the instance is no longer registered after `leaving`, or Consul did not answer.
    pub until_gone: G,
}

/// Registers whenever `ready` is true, says again and again that the instance lives, and deregisters when it is not. A Consul that is away is tried again; the instance
/// serves meanwhile. Runs on the runtime that this is called on.
pub fn announce<G: Send + 'static>(client: Client, who: Advertised, life: Life<G>) {
    let Life { mut ready, leaving, until_gone } = life;
    tokio::spawn(async move {
        let _until_gone = until_gone;
        loop {
            tokio::select! {
                biased;
                () = told(leaving.clone()) => return,
                wanted = ready.wait_for(|ready| *ready) => if wanted.is_err() { return },
            }
            tokio::select! {
                () = told(leaving.clone()) => {}
                _ = ready.wait_for(|ready| !*ready) => {}
                () = stay(&client, &who) => {}
            }
            leave(&client, &who).await;
        }
    });
}

async fn told(mut leaving: watch::Receiver<bool>) {
    // A sender that is gone will not say so any more.
    let _ = leaving.wait_for(|leaving| *leaving).await;
}

/// Registers, and repeats that the instance lives.
async fn stay(client: &Client, who: &Advertised) {
    let every = client.settings().ttl / 3;
    let mut failing = false;
    let mut registered = false;
    loop {
        let done = if registered { client.pass(who).await } else { client.register(who).await.map(|()| true) };
        let pause = match done {
            Ok(known) => {
                if known && !registered {
                    tracing::info!(service = who.service, instance = %who.id, addr = %who.addr, "registered in Consul");
                }
                // An agent that was restarted has forgotten: register again, at once.
                let pause = if known { every } else { Duration::ZERO };
                (registered, failing) = (known, false);
                pause
            }
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(service = who.service, %error, "the instance cannot be registered in Consul; it is tried again");
                }
                AGAIN_AFTER.min(every)
            }
        };
        sleep(pause).await;
    }
}

async fn leave(client: &Client, who: &Advertised) {
    match client.deregister(who).await {
        Ok(()) => tracing::info!(service = who.service, instance = %who.id, "deregistered from Consul"),
        Err(error) => tracing::warn!(%error, "the instance could not be deregistered; Consul will find it in trouble, and forget it"),
    }
}

impl Client {
    fn service_id(&self, who: &Advertised) -> String {
        format!("{}-{}-{}", self.settings().prefix, who.service, who.id)
    }

    fn heartbeat_id(&self, who: &Advertised) -> String {
        format!("{}:heartbeat", self.service_id(who))
    }

    async fn register(&self, who: &Advertised) -> Result<(), ConsulError> {
        let ask = Ask::put("/v1/agent/service/register", self.registration(who).to_string().into_bytes());
        // What an earlier process with this id had in checks goes with it.
        self.ask(ask.with("replace-existing-checks", "true")).await.map(drop)
    }

    fn registration(&self, who: &Advertised) -> serde_json::Value {
        let settings = self.settings();
        let mut checks = vec![json!({
            "CheckID": self.heartbeat_id(who),
            "Name": "torchmesh heartbeat",
            "TTL": milliseconds(settings.ttl),
            // It registers because it is ready: there is nothing to wait for.
            "Status": "passing",
            "DeregisterCriticalServiceAfter": FORGET_AFTER,
        })];
        if settings.grpc_check {
            checks.push(json!({
                "CheckID": format!("{}:grpc", self.service_id(who)),
                "Name": "torchmesh gRPC health",
                "GRPC": who.addr.to_string(),
                "GRPCUseTLS": who.tls,
                // The agent knows the address, and the certificate has a name.
                "TLSSkipVerify": who.tls,
                "Interval": milliseconds(settings.ttl / 2),
                "Timeout": "2s",
                "Status": "passing",
            }));
        }
        let mut meta = json!({ "instance": who.id.as_str(), "version": env!("CARGO_PKG_VERSION") });
        if let Some(zone) = &who.zone {
            meta["zone"] = zone.to_string().into();
        }
        json!({
            "ID": self.service_id(who),
            "Name": format!("{}-{}", settings.prefix, who.service),
            "Address": who.addr.ip().to_string(),
            "Port": who.addr.port(),
            "Meta": meta,
            "Checks": checks,
        })
    }

    /// Says that it lives; false when the agent does not know of it.
    async fn pass(&self, who: &Advertised) -> Result<bool, ConsulError> {
        let answer = self.send(Ask::put(format!("/v1/agent/check/pass/{}", self.heartbeat_id(who)), Vec::new()), AGAIN_AFTER * 5).await?;
        // 404 from 1.11 on, 500 before; both name the check that is not there.
        if matches!(answer.status, 404 | 500) && answer.says("check") {
            return Ok(false);
        }
        answer.ok().map(|_| true)
    }

    async fn deregister(&self, who: &Advertised) -> Result<(), ConsulError> {
        let answer =
            self.send(Ask::put(format!("/v1/agent/service/deregister/{}", self.service_id(who)), Vec::new()), AGAIN_AFTER * 2).await?;
        if answer.status == 404 { Ok(()) } else { answer.ok().map(drop) }
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consul::ConsulSettings;

    #[test]
    fn an_instance_registers_its_zone_where_it_has_one() {
        let settings = ConsulSettings::default();
        let client = Client::new(&settings).unwrap();
        let who = settings.advertised("worker", ([10, 0, 0, 7], 8082).into(), false).unwrap();
        assert!(client.registration(&who)["Meta"].get("zone").is_none());
        let placed = Advertised { zone: Zone::parse("eu-west-1a"), ..who };
        assert_eq!(client.registration(&placed)["Meta"]["zone"], "eu-west-1a");
    }
}

//! The instances of a service, as Consul reports them: an open question that Consul answers when something changes.

use std::{net::IpAddr, sync::Arc};

use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use torchmesh_api::ids::InstanceId;

use super::{
    Client, ConsulError,
    client::{Ask, Indexed},
    linger::{Linger, Reported},
    position::Position,
};
use crate::{Discovery, Instance, Instances, Zone, replace};

/// The services that are registered at one Consul.
#[derive(Debug, Clone)]
pub struct Consul(Client);

impl Consul {
    /// By this client; nothing is asked yet.
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

impl Discovery for Consul {
    /// Watches on the runtime that this is called on, for as long as a receiver is there.
    fn watch(&self, service: &str) -> watch::Receiver<Instances> {
        let (sender, receiver) = watch::channel(Instances::default());
        let client = self.0.clone();
        let service: Arc<str> = format!("{}-{service}", client.settings().prefix).into();
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = follow(&client, &service, &sender) => {}
            }
        });
        receiver
    }
}

async fn follow(client: &Client, service: &str, sender: &watch::Sender<Instances>) {
    let mut position = Position::default();
    let mut linger = Linger::new(client.settings().linger);
    loop {
        let answer = {
            let mut question = std::pin::pin!(ask(client, service, position.index()));
            loop {
                let expiry = linger.next_expiry();
                tokio::select! {
                    answer = &mut question => break answer,
                    () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => replace(sender, linger.expire(Instant::now())),
                }
            }
        };
        match answer {
            Ok(Indexed { index, value }) => {
                let memory = position.answered(index);
                replace(sender, linger.report(Instant::now(), memory, &value));
            }
            Err(error) => {
                position.failed();
                if position.has_just_failed() {
                    tracing::warn!(service, %error, "the instances cannot be asked for; the last list stays in use");
                }
                // Time in which Consul is away counts for nobody: without reports nobody is in trouble.
                linger.hold(Instant::now());
            }
        }
        sleep(position.pause(fastrand::f64())).await;
    }
}

async fn ask(client: &Client, service: &str, index: u64) -> Result<Indexed<Vec<Reported>>, ConsulError> {
    let question = Ask::get(format!("/v1/health/service/{service}")).with("stale", "");
    let Indexed { index, value } = client.changes::<Vec<Entry>>(question, index).await?;
    Ok(Indexed { index, value: value.unwrap_or_default().into_iter().filter_map(Entry::read).collect() })
}

/// One entry of `/v1/health/service`; what is not read is not named.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "Node")]
    node: Node,
    #[serde(rename = "Service")]
    service: Service,
    #[serde(rename = "Checks", default)]
    checks: Vec<Check>,
}

#[derive(Debug, Deserialize)]
struct Node {
    #[serde(rename = "Address")]
    address: String,
}

#[derive(Debug, Deserialize)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Address", default)]
    address: String,
    #[serde(rename = "Port", default)]
    port: u16,
    #[serde(rename = "Meta", default)]
    meta: Option<Meta>,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    instance: Option<String>,
    zone: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Check {
    #[serde(rename = "Status")]
    status: String,
}

impl Entry {
    fn read(self) -> Option<Reported> {
        let Self { node, service, checks } = self;
        // A service without an address of its own is at its node's.
        let address = if service.address.is_empty() { &node.address } else { &service.address };
        let Meta { instance, zone } = service.meta.unwrap_or_default();
        let id = instance.unwrap_or(service.id);
        let (Ok(ip), Ok(id), 1..) = (address.parse::<IpAddr>(), InstanceId::parse(&id), service.port) else {
            tracing::warn!(id, address, port = service.port, "an instance in Consul has no IP address, port or id that can be used");
            return None;
        };
        // A check in state "warning" still passes, as in Consul's own `passing`-less DNS answers.
        let passing = checks.iter().all(|check| matches!(check.status.as_str(), "passing" | "warning"));
        let zone = Zone::told(zone.as_deref());
        Some(Reported { instance: Instance { id, addr: (ip, service.port).into(), zone }, passing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Reported> {
        serde_json::from_str::<Vec<Entry>>(text).unwrap().into_iter().filter_map(Entry::read).collect()
    }

    #[test]
    fn an_instance_is_where_its_service_or_else_its_node_is() {
        let list = read(
            r#"[{"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "torchmesh-worker-a", "Port": 1, "Meta": {"instance": "a"}}, "Checks": [{"Status": "passing"}]},
                {"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "b", "Address": "10.0.0.2", "Port": 2, "Meta": null}, "Checks": [{"Status": "critical"}]}]"#,
        );
        let seen: Vec<_> = list.iter().map(|r| (r.instance.id.as_str(), r.instance.addr.to_string(), r.passing)).collect();
        assert_eq!(seen, [("a", "10.0.0.1:1".to_owned(), true), ("b", "10.0.0.2:2".to_owned(), false)]);
    }

    #[test]
    fn an_instance_is_in_the_zone_that_it_registered() {
        let list = read(
            r#"[{"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "a", "Port": 1, "Meta": {"instance": "a", "zone": "eu-west-1a"}}},
                {"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "b", "Port": 2, "Meta": {"zone": "no zone"}}},
                {"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "c", "Port": 3, "Meta": {}}}]"#,
        );
        let zones: Vec<_> = list.iter().map(|reported| reported.instance.zone.as_ref().map(ToString::to_string)).collect();
        assert_eq!(zones, [Some("eu-west-1a".to_owned()), None, None]);
    }

    #[test]
    fn an_instance_without_a_usable_address_is_left_out_and_the_others_stay() {
        let list = read(
            r#"[{"Node": {"Address": "host.example"}, "Service": {"ID": "a", "Port": 1}},
                {"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "b", "Port": 0}},
                {"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "c", "Port": 3}}]"#,
        );
        assert_eq!(list.iter().map(|r| r.instance.id.as_str()).collect::<Vec<_>>(), ["c"]);
    }
}

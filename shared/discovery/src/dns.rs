//! Instances from a name in the DNS: every address that it has is one, as behind a headless service of Kubernetes.

use std::{io, net::SocketAddr, time::Duration};

use tokio::sync::watch;
use torchmesh_api::ids::InstanceId;
use torchmesh_settings::Section;

use crate::{Discovery, Instance, Instances, replace};

/// An answer that takes longer is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// `discovery.dns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// `address`: name and port, such as `torchmesh-worker:8082`. Required.
    pub address: String,
    /// `every`: how often the name is looked up. Default 5s, at least 100ms.
    pub every: Duration,
}

impl DnsSettings {
    pub(crate) fn read(s: &mut Section) -> Self {
        let address = s.required::<String>("address").unwrap_or_default();
        let port = address.rsplit_once(':').and_then(|(name, port)| (!name.is_empty()).then(|| port.parse::<u16>().ok())?);
        s.check(address.is_empty() || port.is_some(), "address", "must be a name and a port such as \"torchmesh-worker:8082\"");
        let every = s.or("every", Duration::from_secs(5));
        s.check(every >= Duration::from_millis(100), "every", "must be at least 100ms");
        Self { address, every }
    }
}

/// A name that is looked up again and again. An instance has its address as its id.
#[derive(Debug, Clone)]
pub struct Dns(DnsSettings);

impl Dns {
    /// The name; nothing is looked up yet.
    pub fn new(settings: DnsSettings) -> Self {
        Self(settings)
    }
}

impl Discovery for Dns {
    /// Watches on the runtime that this is called on. The name is one service's, so `service` is not looked at.
    fn watch(&self, _: &str) -> watch::Receiver<Instances> {
        let (sender, receiver) = watch::channel(Instances::default());
        let settings = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = look_up(&settings, &sender) => {}
            }
        });
        receiver
    }
}

async fn look_up(settings: &DnsSettings, sender: &watch::Sender<Instances>) {
    let mut tick = tokio::time::interval(settings.every);
    let mut failing = false;
    loop {
        tick.tick().await;
        let answer = tokio::time::timeout(ANSWER_WITHIN, tokio::net::lookup_host(&settings.address)).await;
        match answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(addresses) => {
                failing = false;
                replace(sender, instances(addresses));
            }
            // A name with no address and a server that is away look the same: what was known stays, and the probes tell who still lives.
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(name = settings.address, %error, "discovery.dns: the name cannot be looked up; the last list stays in use");
                }
            }
        }
    }
}

fn instances(addresses: impl Iterator<Item = SocketAddr>) -> Vec<Instance> {
    // In an order of their own, since servers shuffle their answers.
    let unique: std::collections::BTreeSet<_> = addresses.collect();
    unique.into_iter().filter_map(|addr| Some(Instance { id: InstanceId::parse(&id(addr)).ok()?, addr, zone: None })).collect()
}

/// An id has no brackets, which IPv6 addresses do.
fn id(addr: SocketAddr) -> String {
    addr.to_string().replace(['[', ']'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_another_order_is_the_same_list() {
        let [a, b] = [1, 2].map(|last| SocketAddr::from(([10, 0, 0, last], 8082)));
        let six = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 8082));
        assert_eq!(instances([a, b, six].into_iter()), instances([six, b, a, b].into_iter()));
        assert_eq!(instances([a, b, six].into_iter()).len(), 3);
    }

    #[tokio::test]
    async fn a_name_is_found_and_a_receiver_that_is_dropped_ends_the_search() {
        let dns = Dns::new(DnsSettings { address: "localhost:8082".into(), every: Duration::from_millis(100) });
        let mut found = dns.watch("worker");
        found.wait_for(|list| list.iter().any(|instance| instance.addr.port() == 8082)).await.unwrap();
    }
}

//! What EndpointSlices (discovery.k8s.io/v1) say of a Service: who is behind it.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
};

use serde::Deserialize;
use torchmesh_api::ids::InstanceId;

use super::objects::{Metadata, Object, or_none};
use crate::{Instance, Zone};

/// `EndpointSlice`; what is not read is not named.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Slice {
    pub(super) metadata: Metadata,
    #[serde(default, deserialize_with = "or_none")]
    endpoints: Vec<Endpoint>,
    #[serde(default, deserialize_with = "or_none")]
    ports: Vec<Port>,
}

impl Object for Slice {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Conditions,
    target_ref: Option<Target>,
    zone: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
struct Target {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Port {
    #[serde(default, deserialize_with = "or_none")]
    name: String,
    port: Option<u16>,
}

/// The slices of one Service, by their names.
#[derive(Debug, Default)]
pub(super) struct Slices(HashMap<String, Slice>);

impl Slices {
    pub(super) fn of(slices: Vec<Slice>) -> Self {
        Self(slices.into_iter().map(|slice| (slice.metadata.name.clone(), slice)).collect())
    }

    pub(super) fn put(&mut self, slice: Slice) {
        self.0.insert(slice.metadata.name.clone(), slice);
    }

    pub(super) fn remove(&mut self, slice: &Slice) {
        self.0.remove(&slice.metadata.name);
    }

    /// The pods that take calls at the port of this name, in the order of their names.
    ///
    /// Those that are ready. Where none is, all that are not being ended: a control plane that cannot see the nodes calls every pod unready, and the pods go on answering.
    pub(super) fn instances(&self, port: &str) -> Vec<Instance> {
        let (mut ready, mut alive) = (BTreeMap::new(), BTreeMap::new());
        for slice in self.0.values() {
            let Some(port) = slice.port(port) else { continue };
            for endpoint in &slice.endpoints {
                let Some((id, addr)) = endpoint.at(port) else { continue };
                if endpoint.conditions.terminating == Some(true) {
                    continue;
                }
                let zone = endpoint.zone.as_deref();
                keep(&mut alive, &id, addr, zone);
                // Absent is to be read as ready, says the API.
                if endpoint.conditions.ready != Some(false) {
                    keep(&mut ready, &id, addr, zone);
                }
            }
        }
        let chosen = if ready.is_empty() { alive } else { ready };
        let instance =
            |(id, (addr, zone)): (String, Listed<'_>)| Some(Instance { id: InstanceId::parse(&id).ok()?, addr, zone: Zone::told(zone) });
        chosen.into_iter().filter_map(instance).collect()
    }
}

/// A pod's address, and the zone of its node.
type Listed<'a> = (SocketAddr, Option<&'a str>);

/// A pod of a dual-stack cluster is in a slice of each family: one address is kept, the least, which is that of IPv4.
fn keep<'a>(list: &mut BTreeMap<String, Listed<'a>>, id: &str, addr: SocketAddr, zone: Option<&'a str>) {
    let kept = list.entry(id.to_owned()).or_insert((addr, zone));
    *kept = (addr.min(kept.0), zone.or(kept.1));
}

impl Slice {
    /// The port's number, by its name; a Service with one port need not name it.
    fn port(&self, name: &str) -> Option<u16> {
        let named = self.ports.iter().find(|port| port.name == name);
        let only = || if let [only] = self.ports.as_slice() { Some(only).filter(|port| port.name.is_empty()) } else { None };
        named.or_else(only)?.port
    }
}

impl Endpoint {
    /// Only the first address is used: the API says that the others mean the same. The pod's name is the id, and its address where it has none.
    fn at(&self, port: u16) -> Option<(String, SocketAddr)> {
        let ip: IpAddr = self.addresses.first()?.parse().ok()?;
        let addr = SocketAddr::new(ip, port);
        let name = self.target_ref.as_ref().map(|target| target.name.clone()).filter(|name| !name.is_empty());
        Some((name.unwrap_or_else(|| addr.to_string().replace(['[', ']'], "")), addr))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "as the tests write it")]
    fn slice(name: &str, endpoints: Value) -> Slice {
        let ports = json!([{ "name": "admin", "port": 9082 }, { "name": "grpc", "port": 8082, "protocol": "TCP" }]);
        serde_json::from_value(
            json!({ "metadata": { "name": name, "resourceVersion": "7" }, "addressType": "IPv4", "endpoints": endpoints, "ports": ports }),
        )
        .unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "as the tests write it")]
    fn pod(name: &str, address: &str, conditions: Value) -> Value {
        json!({ "addresses": [address], "conditions": conditions, "targetRef": { "kind": "Pod", "name": name } })
    }

    fn seen(slices: &Slices) -> Vec<String> {
        slices.instances("grpc").iter().map(|i| format!("{}={}", i.id.as_str(), i.addr)).collect()
    }

    #[test]
    fn a_pod_that_is_ready_is_an_instance_and_one_that_is_ending_or_not_ready_is_none() {
        let endpoints = json!([
            pod("b", "10.0.0.2", json!({ "ready": true, "serving": true, "terminating": false })),
            pod("a", "10.0.0.1", json!({})),
            pod("c", "10.0.0.3", json!({ "ready": false, "serving": true, "terminating": true })),
            pod("d", "10.0.0.4", json!({ "ready": false })),
        ]);
        assert_eq!(seen(&Slices::of(vec![slice("s", endpoints)])), ["a=10.0.0.1:8082", "b=10.0.0.2:8082"]);
    }

    #[test]
    fn where_no_pod_is_ready_those_that_are_not_ending_are_asked_all_the_same() {
        let endpoints =
            json!([pod("a", "10.0.0.1", json!({ "ready": false })), pod("b", "10.0.0.2", json!({ "ready": false, "terminating": true }))]);
        assert_eq!(seen(&Slices::of(vec![slice("s", endpoints)])), ["a=10.0.0.1:8082"]);
    }

    #[test]
    fn a_pod_is_in_the_zone_of_its_node() {
        let mut placed = pod("a", "10.0.0.1", json!({}));
        placed["zone"] = json!("eu-west-1a");
        let slices = Slices::of(vec![slice("s", json!([placed, pod("b", "10.0.0.2", json!({}))]))]);
        let zones: Vec<_> = slices.instances("grpc").into_iter().map(|instance| instance.zone.map(|zone| zone.to_string())).collect();
        assert_eq!(zones, [Some("eu-west-1a".to_owned()), None]);
    }

    #[test]
    fn a_pod_that_is_in_several_slices_is_one_instance() {
        let ready = || json!({ "ready": true });
        let both = vec![slice("six", json!([pod("a", "fd00::1", ready())])), slice("four", json!([pod("a", "10.0.0.1", ready())]))];
        let mut slices = Slices::of(both.clone());
        assert_eq!(seen(&slices), ["a=10.0.0.1:8082"]);
        slices.remove(&both[1]);
        assert_eq!(seen(&slices), ["a=[fd00::1]:8082"]);
        slices.put(slice("six", json!(null)));
        assert!(seen(&slices).is_empty());
    }

    #[test]
    fn a_name_without_an_address_and_another_port_are_left_out() {
        let slices = Slices::of(vec![slice("s", json!([{ "addresses": ["pod.example"] }, { "addresses": ["10.0.0.9"] }]))]);
        assert_eq!(seen(&slices), ["10.0.0.9:8082=10.0.0.9:8082"]);
        assert!(slices.instances("http").is_empty());
    }

    #[test]
    fn the_only_port_of_a_service_needs_no_name() {
        let unnamed: Slice = serde_json::from_value(
            json!({ "metadata": { "name": "s" }, "endpoints": [{ "addresses": ["10.0.0.9"] }], "ports": [{ "name": null, "port": 1 }] }),
        )
        .unwrap();
        assert_eq!(seen(&Slices::of(vec![unnamed])), ["10.0.0.9:1=10.0.0.9:1"]);
    }
}

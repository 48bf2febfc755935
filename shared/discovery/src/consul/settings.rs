//! How Consul is reached, and how long it is believed.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use torchmesh_api::ids::InstanceId;
use torchmesh_settings::Section;

use super::{Advertised, ConsulError};

/// `discovery.consul`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsulSettings {
    /// `address`: the agent's. Default `http://127.0.0.1:8500`.
    pub address: String,
    /// `token_file`: a file with the ACL token; read again for each request, so that a token can be changed while the process runs. Default none.
    pub token_file: Option<PathBuf>,
    /// `ca_file`: PEM certificates that the agent's must be signed by, instead of the system's. Default none.
    pub ca_file: Option<PathBuf>,
    /// `cert_file` and `key_file`: PEM, for an agent that asks for a client certificate. Default none.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// `namespace`, of Consul Enterprise. Default none.
    pub namespace: Option<String>,
    /// `datacenter`. Default that of the agent.
    pub datacenter: Option<String>,
    /// `prefix`: services are called `<prefix>-worker`, and keys begin with `<prefix>/`. Default `torchmesh`.
    pub prefix: String,
    /// `ttl`: an instance that says nothing for so long is in trouble. Default 10s, 1s to 24h.
    pub ttl: Duration,
    /// `linger`: how long an instance that Consul calls critical, or has forgotten, is still used as long as it answers. Default 30s.
    pub linger: Duration,
    /// `wait`: how long one question for changes is left open. Default 30s, 1s to 10m.
    pub wait: Duration,
    /// `id`: the name of this process among the instances of its service. Default: the advertised address.
    pub id: Option<InstanceId>,
    /// `advertise`: the address, or address and port, at which others reach this process. Default the one that it listens at, which must then be one that can be reached.
    pub advertise: Option<(IpAddr, Option<u16>)>,
    /// `grpc_check`: whether the agent also asks the instance itself for its health. Default true.
    pub grpc_check: bool,
}

impl Default for ConsulSettings {
    fn default() -> Self {
        Self {
            address: "http://127.0.0.1:8500".to_owned(),
            token_file: None,
            ca_file: None,
            identity: None,
            namespace: None,
            datacenter: None,
            prefix: "torchmesh".to_owned(),
            ttl: Duration::from_secs(10),
            linger: Duration::from_secs(30),
            wait: Duration::from_secs(30),
            id: None,
            advertise: None,
            grpc_check: true,
        }
    }
}

impl ConsulSettings {
    /// Reads the section.
    pub fn read(s: &mut Section) -> Self {
        let default = Self::default();
        let address = s.or("address", default.address);
        let url = reqwest::Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        s.check(url.is_some(), "address", "must be an address such as \"http://127.0.0.1:8500\"");
        let prefix = s.or("prefix", default.prefix);
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
        s.check(!prefix.is_empty() && prefix.chars().all(good), "prefix", "must be letters, digits and '-'");
        let (cert, key) = (s.optional::<PathBuf>("cert_file"), s.optional::<PathBuf>("key_file"));
        s.check(cert.is_some() == key.is_some(), "cert_file", "and key_file must be given together");
        let (second, ten_minutes) = (Duration::from_secs(1), Duration::from_secs(600));
        let ttl = s.or("ttl", default.ttl);
        s.check((second..=ten_minutes * 144).contains(&ttl), "ttl", "must be 1s to 24h, as Consul has it");
        let wait = s.or("wait", default.wait);
        s.check((second..=ten_minutes).contains(&wait), "wait", "must be 1s to 10m, as Consul has it");
        let id = checked(s, "id", |text| InstanceId::parse(text).map_err(|error| error.to_string()));
        let advertise = checked(s, "advertise", |text| {
            let whole = text.parse().map(|addr: SocketAddr| (addr.ip(), Some(addr.port())));
            whole
                .or_else(|_| text.parse().map(|ip| (ip, None)))
                .map_err(|_| "must be an address such as \"10.0.0.7\" or \"10.0.0.7:8082\"".to_owned())
        });
        Self {
            address,
            prefix,
            ttl,
            wait,
            id,
            advertise,
            identity: cert.zip(key),
            token_file: s.optional("token_file"),
            ca_file: s.optional("ca_file"),
            namespace: s.optional("namespace"),
            datacenter: s.optional("datacenter"),
            linger: s.or("linger", default.linger),
            grpc_check: s.or("grpc_check", default.grpc_check),
        }
    }
}

/// A text that `parse` has something to say about.
fn checked<T>(s: &mut Section, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
    let text = s.optional::<String>(key)?;
    parse(&text).map_err(|message| s.problem(key, message)).ok()
}

impl ConsulSettings {
    /// What this process registers as when it listens at `listens`, in no zone.
    pub fn advertised(&self, service: &'static str, listens: SocketAddr, tls: bool) -> Result<Advertised, ConsulError> {
        let addr = match self.advertise {
            Some((ip, port)) => SocketAddr::new(ip, port.unwrap_or(listens.port())),
            None => listens,
        };
        if addr.ip().is_unspecified() {
            return Err(ConsulError::Nowhere { listens });
        }
        let id = self.id.clone().or_else(|| InstanceId::parse(&addr.to_string().replace(['[', ']'], "")).ok());
        let id = id.ok_or(ConsulError::Nowhere { listens })?;
        Ok(Advertised { service, id, addr, tls, zone: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ConsulSettings, String> {
        Section::read_all(text.parse().unwrap(), ConsulSettings::read).map_err(|problems| problems.to_string())
    }

    #[test]
    fn an_empty_section_is_the_agent_on_this_machine() {
        assert_eq!(read("").unwrap(), ConsulSettings::default());
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let report =
            read("address = 'ftp://x'\nttl = '100ms'\nwait = '1h'\nprefix = 'a/b'\ncert_file = 'x'\nid = 'a b'\nadvertise = 'here'")
                .unwrap_err();
        for part in ["address: ", "ttl: ", "wait: ", "prefix: ", "cert_file: and key_file", "id: ", "advertise: must be an address"] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }

    #[test]
    fn an_instance_that_listens_everywhere_must_say_where_it_is() {
        let everywhere = SocketAddr::from(([0, 0, 0, 0], 8082));
        assert!(
            ConsulSettings::default()
                .advertised("worker", everywhere, false)
                .unwrap_err()
                .to_string()
                .contains("discovery.consul.advertise")
        );
        let told = read("advertise = '10.0.0.7'").unwrap().advertised("worker", everywhere, false).unwrap();
        assert_eq!((told.addr.to_string(), told.id.as_str()), ("10.0.0.7:8082".to_owned(), "10.0.0.7:8082"));
        let both = read("advertise = '[::1]:9'\nid = 'w1'").unwrap().advertised("worker", everywhere, false).unwrap();
        assert_eq!((both.addr.to_string(), both.id.as_str()), ("[::1]:9".to_owned(), "w1"));
    }
}

//! How the API server is reached, and which Services are meant.

use std::{path::PathBuf, time::Duration};

use torchmesh_settings::Section;

/// Where a pod finds what it needs to talk to the API server.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// `discovery.kubernetes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// `address`: the API server's. Default: what a pod is told by `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    pub address: Option<String>,
    /// `token_file`: the service account's token, read again for each request since it is renewed. Default the pod's own.
    pub token_file: PathBuf,
    /// `ca_file`: PEM certificates that the API server's must be signed by. Default the pod's own.
    pub ca_file: PathBuf,
    /// `namespace` of the Services. Default the pod's own, which is in the file `namespace` beside the token.
    pub namespace: Option<String>,
    /// `prefix`: the Services are called `<prefix>-worker` and `<prefix>-router`. Default `torchmesh`.
    pub prefix: String,
    /// `port`: the name of the port that takes calls. Default `grpc`.
    pub port: String,
    /// `wait`: how long one watch is left open before it is made anew. Default 2m, 1s to 10m.
    pub wait: Duration,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            address: None,
            token_file: format!("{ACCOUNT}/token").into(),
            ca_file: format!("{ACCOUNT}/ca.crt").into(),
            namespace: None,
            prefix: "torchmesh".to_owned(),
            port: "grpc".to_owned(),
            wait: Duration::from_secs(120),
        }
    }
}

impl KubernetesSettings {
    pub(crate) fn read(s: &mut Section) -> Self {
        let default = Self::default();
        let address = s.optional::<String>("address");
        let good = |text: &String| reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        s.check(address.as_ref().is_none_or(good), "address", "must be an address such as \"https://10.96.0.1:443\"");
        let namespace = s.optional::<String>("namespace");
        s.check(namespace.as_deref().is_none_or(is_label), "namespace", NO_LABEL);
        let prefix = s.or("prefix", default.prefix);
        s.check(is_label(&prefix), "prefix", NO_LABEL);
        let port = s.or("port", default.port);
        s.check(is_label(&port), "port", "must be the name of a port, such as \"grpc\"");
        let wait = s.or("wait", default.wait);
        s.check((Duration::from_secs(1)..=Duration::from_secs(600)).contains(&wait), "wait", "must be 1s to 10m");
        Self {
            address,
            namespace,
            prefix,
            port,
            wait,
            token_file: s.or("token_file", default.token_file),
            ca_file: s.or("ca_file", default.ca_file),
        }
    }
}

const NO_LABEL: &str = "must be lower-case letters, digits and '-'";

/// A label as RFC 1123 has it, which all these names are.
pub(super) fn is_label(text: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(good) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<KubernetesSettings, String> {
        Section::read_all(text.parse().unwrap(), KubernetesSettings::read).map_err(|problems| problems.to_string())
    }

    #[test]
    fn an_empty_section_is_the_cluster_that_the_pod_is_in() {
        assert_eq!(read("").unwrap(), KubernetesSettings::default());
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let report = read("address = 'x'\nnamespace = 'A'\nprefix = 'a/b'\nport = ''\nwait = '1h'").unwrap_err();
        for part in ["address: ", "namespace: ", "prefix: ", "port: ", "wait: must be 1s to 10m"] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }
}

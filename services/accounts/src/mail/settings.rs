//! The settings of delivery: the table `mail.smtp`.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use torchmesh_runtime::config::Section;

/// How a connection to the server is made safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte, as on port 465 (RFC 8314).
    Implicit,
    /// The server is asked to begin TLS, as on port 587 (RFC 3207); without it nothing is sent.
    StartTls,
    /// None, for a server on this machine.
    None,
}

impl Security {
    fn named(name: &str) -> Option<Self> {
        match name {
            "starttls" => Some(Self::StartTls),
            "implicit" => Some(Self::Implicit),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpSettings {
    /// `mail.smtp.address`: the server, such as `smtp.example.org:587`. Required.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `mail.smtp.tls`: `starttls` (the default), `implicit`, or `none`, which is for a server on this machine only.
    pub security: Security,
    /// `mail.smtp.username` and `mail.smtp.password_file`, which is read again for each connection. Default none: nobody signs in.
    pub login: Option<(String, PathBuf)>,
    /// `mail.smtp.ca_file`: PEM certificates that the server's must be signed by, instead of the system's. Default none.
    pub ca_file: Option<PathBuf>,
    /// `mail.smtp.timeout`: how long connecting may take, and each letter. Default 30s.
    pub timeout: Duration,
    /// `mail.from`: who letters are from.
    pub from: String,
}

impl SmtpSettings {
    /// Reads the table, if it is there.
    pub fn read(s: &mut Section, from: &str) -> Option<Self> {
        if !s.has("smtp") {
            return None;
        }
        s.section("smtp", |s| {
            let address = s.required::<String>("address");
            let parts = address.as_deref().and_then(place);
            s.check(parts.is_some() || address.is_none(), "address", "must be a host and a port such as smtp.example.org:587");
            let security = s.optional::<String>("tls").map_or(Some(Security::StartTls), |name| Security::named(&name));
            s.check(security.is_some(), "tls", "must be \"starttls\", \"implicit\" or \"none\"");
            let security = security.unwrap_or(Security::StartTls);
            let (host, port) = parts.unwrap_or_default();
            let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
            s.check(
                here || address.is_none() || security != Security::None,
                "tls",
                "may be \"none\" for a server on this machine only: letters have tokens in them",
            );
            let (username, password_file) = (s.optional::<String>("username"), s.optional::<PathBuf>("password_file"));
            s.check(username.is_some() == password_file.is_some(), "username", "and password_file must be given together");
            let ca_file = s.optional("ca_file");
            let timeout = s.or("timeout", Duration::from_secs(30));
            s.check((Duration::from_secs(1)..=Duration::from_secs(600)).contains(&timeout), "timeout", "must be from 1s to 10m");
            address.map(|_| Self { host, port, security, login: username.zip(password_file), ca_file, timeout, from: from.to_owned() })
        })
    }
}

fn place(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    let good = !host.is_empty() && !host.contains(['/', '@', ' ', '[']) && (bare.is_some() || !host.contains(':'));
    port.parse().ok().filter(|port| good && *port > 0).map(|port| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<SmtpSettings>, String> {
        Section::read_all(text.parse().unwrap(), |s| SmtpSettings::read(s, "torchmesh@example.org"))
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        assert_eq!(read("").unwrap(), None);
        let told = |address: &str| read(&format!("smtp.address = '{address}'")).map(|read| read.map(|smtp| (smtp.host, smtp.port)));
        assert_eq!(told("smtp.example.org:587"), Ok(Some(("smtp.example.org".to_owned(), 587))));
        assert_eq!(told("[::1]:25"), Ok(Some(("::1".to_owned(), 25))));
        for wrong in ["smtp.example.org", ":587", "a:0", "a:70000", "smtp://a:587", "me@a:587", "::1:25"] {
            assert!(told(wrong).is_err_and(|report| report.contains("smtp.address")), "{wrong:?}");
        }
    }

    #[test]
    fn letters_do_not_leave_the_machine_in_clear_text() {
        assert!(read("smtp = { address = 'localhost:25', tls = 'none' }").is_ok());
        assert!(read("smtp = { address = '127.0.0.1:25', tls = 'none' }").is_ok());
        let report = read("smtp = { address = 'smtp.example.org:25', tls = 'none', username = 'a', timeout = '1h' }").unwrap_err();
        for part in ["smtp.tls: may be", "smtp.username: and password_file", "smtp.timeout"] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
        assert!(read("smtp = { address = 'localhost:25', tls = 'tls' }").unwrap_err().contains("smtp.tls: must be"));
    }
}

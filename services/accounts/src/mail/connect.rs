//! A connection to the server that letters may be sent over: made, safe, and signed in.

use std::{fs, path::Path, time::Duration};

use lettre::transport::smtp::{
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
    extension::ClientId,
};
use tokio::time::timeout;

use super::{Security, SmtpSettings};

/// Error: why none can be had, in words that name the setting where one is at fault.
pub(super) async fn connect(settings: &SmtpSettings) -> Result<AsyncSmtpConnection, String> {
    let made = timeout(settings.timeout, make(settings)).await;
    made.map_err(|_| silent(settings.timeout))?
}

/// What is said of a server that takes too long.
pub(super) fn silent(patience: Duration) -> String {
    format!("no answer within {} s", patience.as_secs())
}

async fn make(settings: &SmtpSettings) -> Result<AsyncSmtpConnection, String> {
    // Servers want a name: that of whoever the letters are from.
    let domain = settings.from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let (hello, place) = (ClientId::Domain(domain.to_owned()), (settings.host.as_str(), settings.port));
    let at_once = (settings.security == Security::Implicit).then(|| parameters(settings)).transpose()?;
    let connecting = AsyncSmtpConnection::connect_tokio1(place, Some(settings.timeout), &hello, at_once, None);
    let mut connection = connecting.await.map_err(|error| told(&error))?;
    if settings.security == Security::StartTls {
        if !connection.can_starttls() {
            return Err("it does not offer STARTTLS; mail.smtp.tls = \"implicit\" is for servers with TLS from the first byte".to_owned());
        }
        connection.starttls(parameters(settings)?, &hello).await.map_err(|error| told(&error))?;
    }
    if let Some((username, file)) = &settings.login {
        let login = Credentials::new(username.clone(), password(file)?);
        let signed_in = connection.auth(DEFAULT_MECHANISMS, &login).await;
        signed_in.map_err(|error| format!("mail.smtp.username or its password is not taken: {}", told(&error)))?;
    }
    Ok(connection)
}

fn password(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("mail.smtp.password_file: {}: {error}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn parameters(settings: &SmtpSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let wrong = |error: &dyn std::fmt::Display| format!("mail.smtp.ca_file: {}: {error}", path.display());
        let pem = fs::read(path).map_err(|error| wrong(&error))?;
        builder = builder.certificate_store(CertificateStore::None);
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| wrong(&told(&error)))?);
    }
    builder.build_rustls().map_err(|error| told(&error))
}

/// Everything that an error says, down to what it came from.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

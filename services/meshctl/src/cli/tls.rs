//! What can be typed about TLS, wherever something is asked.

use std::path::PathBuf;

use clap::Args;

/// How the certificate of an address with `https://` is looked at, and what it is shown.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "TLS, for addresses with https://")]
pub(crate) struct TlsArgs {
    /// PEM file of the certificates that theirs must be signed by (default: those that this system trusts)
    #[arg(long, value_name = "FILE", env = "TORCHMESH_CA_FILE", global = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM file of the certificate that they are shown, the chain with the leaf first
    #[arg(long, value_name = "FILE", env = "TORCHMESH_CERT_FILE", global = true)]
    pub(crate) cert_file: Option<PathBuf>,
    /// PEM file of its private key
    #[arg(long, value_name = "FILE", env = "TORCHMESH_CERT_KEY_FILE", global = true)]
    pub(crate) cert_key_file: Option<PathBuf>,
    /// Name in their certificate, a DNS name or a SPIFFE id (default: the address's host)
    #[arg(long, value_name = "NAME", env = "TORCHMESH_SERVER_NAME", global = true)]
    pub(crate) server_name: Option<String>,
}

//! How a client is made.

use std::time::Duration;

use http::Uri;
use tower::Layer as _;

use crate::{
    AuthLayer, Client, ConnectError, DeadlineLayer, MeshChannel, RetryLayer, RetryPolicy, TokenSource,
    balance::{Balance, Targets},
    connection::{Identity, Tls, Trust},
    origin::Origin,
};

/// How long calls may take that do not say.
const USUAL_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest message that is taken or sent.
const MAX_MESSAGE: usize = 64 << 20;

enum Credential {
    None,
    Key(String),
    Source(AuthLayer),
}

/// How a client is made; [`Client::builder`] begins it.
#[must_use = "a client is made by connect()"]
pub struct Builder {
    addresses: Vec<String>,
    credential: Credential,
    deadline: DeadlineLayer,
    retries: RetryPolicy,
    trust: Trust,
    identity: Option<Identity>,
    clear_text: bool,
    max_message: usize,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("addresses", &self.addresses).field("retries", &self.retries).finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new(address: String) -> Self {
        Self {
            addresses: vec![address],
            credential: Credential::None,
            deadline: DeadlineLayer::new(USUAL_TIMEOUT),
            retries: RetryPolicy::default(),
            trust: Trust::System,
            identity: None,
            clear_text: false,
            max_message: MAX_MESSAGE,
        }
    }

    /// One more gateway, beside the one that the builder began with. A name that stands for several addresses needs no more than itself.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Calls with this key. It goes into the calls and nowhere else: nothing prints it.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.credential = Credential::Key(key.into());
        self
    }

    /// Calls with the tokens of this source, for example [`ClientCredentials`](crate::ClientCredentials).
    pub fn token_source(mut self, source: impl TokenSource) -> Self {
        self.credential = Credential::Source(AuthLayer::new(source));
        self
    }

    /// How long a call may take that does not say so itself ([`tonic::Request::set_timeout`]), over all its tries and with the whole of its
    /// stream. Default 60 s.
    pub fn timeout(mut self, usual: Duration) -> Self {
        self.deadline = DeadlineLayer::new(usual);
        self
    }

    /// Which calls are sent again, and when.
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.retries = policy;
        self
    }

    /// The gateways' certificates are signed by one of these (PEM), and by nobody else. Without it they must be signed by one that the system trusts.
    pub fn ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trust = Trust::Only(pem.into());
        self
    }

    /// What is shown to a gateway that asks for a certificate: the chain, the leaf first, and its key (PEM).
    pub fn identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some(Identity { chain: chain.into(), key: key.into() });
        self
    }

    /// Lets a key or token go to another machine over `http://`, where the network between is your own, or something on the way adds TLS.
    pub fn allow_clear_text(mut self) -> Self {
        self.clear_text = true;
        self
    }

    /// The largest message that is sent or taken. Default 64 MiB, as the gateways' own.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Makes the client, and sees to it that a gateway answers.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        self.make(true).await
    }

    /// Makes the client without waiting for a gateway: each address is tried beside it, and calls open the connections that they need. For services that
    /// may begin before the mesh answers; its name has to be there already.
    ///
    /// Error: a wrong setting, or a name that cannot be looked up.
    pub async fn connect_lazily(self) -> Result<Client, ConnectError> {
        self.make(false).await
    }

    async fn make(self, awaited: bool) -> Result<Client, ConnectError> {
        let targets = self.addresses.iter().map(|address| self.target(address)).collect::<Result<_, _>>()?;
        let auth = match self.credential {
            Credential::None => AuthLayer::anonymous(),
            Credential::Key(key) => AuthLayer::api_key(&key)?,
            Credential::Source(layer) => layer,
        };
        let balance = Balance::open(Targets(targets), awaited).await?;
        let channel: MeshChannel = self.deadline.layer(RetryLayer::new(self.retries).layer(auth.layer(balance)));
        Ok(Client::new(channel, self.max_message))
    }

    fn target(&self, address: &str) -> Result<(Origin, Option<Tls>), ConnectError> {
        let wrong = || ConnectError::Address {
            address: address.to_owned(),
            what: "write it as https://mesh.example.com, or http://127.0.0.1:8080".to_owned(),
        };
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let origin = Origin::of(&uri).ok_or_else(wrong)?;
        if origin.secure {
            let tls = Tls::new(&origin.host, &self.trust, self.identity.as_ref(), "h2")?;
            return Ok((origin, Some(tls)));
        }
        let shown = !matches!(self.credential, Credential::None);
        if shown && !origin.is_this_machine() && !self.clear_text {
            return Err(ConnectError::ClearText { address: address.to_owned() });
        }
        Ok((origin, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(builder: Builder) -> String {
        builder.connect_lazily().await.expect_err("it is wrong").to_string()
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_with_what_to_do() {
        assert!(refused(Client::builder("mesh.example.com")).await.contains("write it as https://"));
        assert!(refused(Client::builder("https://127.0.0.1").ca("no certificate")).await.starts_with("ca: it has no certificate"));
        assert!(refused(Client::builder("http://127.0.0.1").api_key("two words")).await.starts_with("api_key: "));
        let ca = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let identity = Client::builder("https://127.0.0.1").ca(ca.cert.pem()).identity("no chain", "no key");
        assert!(refused(identity).await.starts_with("identity: "));
    }

    #[tokio::test]
    async fn a_key_does_not_leave_the_machine_in_clear_text_unless_it_is_said() {
        let far = || Client::builder("http://192.0.2.1").api_key("tm_secret");
        assert!(refused(far()).await.contains("allow_clear_text()"));
        far().allow_clear_text().connect_lazily().await.unwrap();
        Client::builder("http://192.0.2.1").connect_lazily().await.unwrap();
        Client::builder("http://127.0.0.1").api_key("tm_secret").connect_lazily().await.unwrap();
    }

    #[tokio::test]
    async fn neither_a_builder_nor_a_client_prints_its_key() {
        let builder = Client::builder("http://127.0.0.1").api_key("tm_secret");
        assert!(!format!("{builder:?}").contains("tm_secret"));
        assert!(!format!("{:?}", builder.connect_lazily().await.unwrap()).contains("tm_secret"));
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_told_at_once() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = Client::builder(format!("http://{free}")).connect().await.unwrap_err();
        assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    }
}

//! Accounts that run, and those who ask them.

use std::{fs, net::SocketAddr, path::PathBuf};

use tempfile::TempDir;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use torchmesh_api::{
    accounts::v1::{
        CreateCredentialRequest, CreateTenantRequest, Credential, CredentialKind, SumUsageRequest, UsageSum,
        accounts_service_client::AccountsServiceClient, billing_service_client::BillingServiceClient,
        identity_service_client::IdentityServiceClient, listing_service_client::ListingServiceClient,
        privacy_service_client::PrivacyServiceClient, sign_in_service_client::SignInServiceClient,
        usage_query_service_client::UsageQueryServiceClient, webhook_service_client::WebhookServiceClient,
    },
    usage::v1::usage_service_client::UsageServiceClient,
};

use crate::{Instance, Signal, client, postgres::Postgres, sandbox::Builder};

/// The operators' token.
pub const OPERATOR: &str = "operators-token-0123456789";
/// The gateways' token.
const GATEWAY: &str = "gateways-token-01234567890";

/// Shows a token with every call.
#[derive(Debug, Clone)]
pub struct WithToken(String);

impl Interceptor for WithToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = MetadataValue::try_from(format!("Bearer {}", self.0)).map_err(|_| Status::internal("the token is no header value"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

/// A client of the accounts with somebody's token.
pub type Client = AccountsServiceClient<InterceptedService<Channel, WithToken>>;

/// A client of what they bill.
pub type Billing = BillingServiceClient<InterceptedService<Channel, WithToken>>;

/// A client of what they say of models.
pub type Listings = ListingServiceClient<InterceptedService<Channel, WithToken>>;

/// A client of whom they tell what happens.
pub type Webhooks = WebhookServiceClient<InterceptedService<Channel, WithToken>>;

/// A client of how members sign in.
pub type SignIn = SignInServiceClient<InterceptedService<Channel, WithToken>>;

/// A client of what is told whole, and erased.
pub type Privacy = PrivacyServiceClient<InterceptedService<Channel, WithToken>>;

/// Accounts with a database of their own, which outlives the process.
#[derive(Debug)]
pub struct Accounts {
    /// The process.
    pub instance: Instance,
    folder: TempDir,
}

/// Which database they keep everything in.
#[derive(Debug)]
pub enum Database {
    /// The embedded one.
    Sqlite,
    /// A server.
    Postgres(Postgres),
}

impl Database {
    /// A server that is empty.
    pub async fn postgres() -> Self {
        Self::Postgres(Postgres::start().await)
    }
}

impl Accounts {
    /// Starts them on a port that stays the same, and waits until they are ready.
    pub async fn start(database: &Database, more: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a folder for the accounts");
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a token's file");
            path.display().to_string()
        };
        let mut settings = vec![
            ("addr".to_owned(), port.to_string()),
            ("folder".to_owned(), folder.path().join("kept").display().to_string()),
            ("operator_token_file".to_owned(), file("operator.token", OPERATOR)),
            ("gateway_token_file".to_owned(), file("gateway.token", GATEWAY)),
        ];
        if let Database::Postgres(postgres) = database {
            settings.push(("database.url".to_owned(), postgres.url()));
        }
        settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let mut instance = Instance::start("accounts", "accounts", folder.path(), settings).await;
        instance.ready().await;
        Self { instance, folder }
    }

    /// Kills the process, as a machine does that loses its power, and starts it again at the same address.
    pub async fn killed_and_started(&mut self) {
        self.kill();
        self.start_again().await;
    }

    /// Kills the process.
    pub fn kill(&mut self) {
        self.instance.signal(Signal::KILL);
    }

    /// Starts the process again after [`Self::kill`], and waits until it is ready.
    pub async fn start_again(&mut self) {
        self.instance.start_again().await;
        self.instance.ready().await;
    }

    /// Has a mesh's gateways follow these accounts and send them what was used.
    pub fn of(&self, mesh: Builder) -> Builder {
        let (address, token) = (format!("http://{}", self.addr()), self.path("gateway.token"));
        mesh.set("gateway", "accounts.address", &address)
            .set("gateway", "accounts.token_file", &token.display().to_string())
            .set("gateway", "accounts.snapshot_file", "{instance}.roll")
            .set("gateway", "metering.accounts", &address)
            .set("gateway", "metering.accounts_token_file", &token.display().to_string())
    }

    /// Where they are.
    pub fn addr(&self) -> SocketAddr {
        self.instance.addr
    }

    /// A path in their folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client with a token.
    pub fn client(&self, token: &str) -> Client {
        AccountsServiceClient::with_interceptor(client::channel(self.addr()), WithToken(token.to_owned()))
    }

    /// A client with a token that asks what is billed.
    pub fn billing(&self, token: &str) -> Billing {
        let client = BillingServiceClient::with_interceptor(client::channel(self.addr()), WithToken(token.to_owned()));
        client.max_decoding_message_size(64 << 20)
    }

    /// A client with a token that asks what is said of models.
    pub fn listings(&self, token: &str) -> Listings {
        ListingServiceClient::with_interceptor(client::channel(self.addr()), WithToken(token.to_owned()))
    }

    /// The same of somebody who shows no token.
    pub fn listings_of_anybody(&self) -> ListingServiceClient<Channel> {
        ListingServiceClient::new(client::channel(self.addr()))
    }

    /// A client with a token that changes how its member signs in.
    pub fn sign_in(&self, token: &str) -> SignIn {
        SignInServiceClient::with_interceptor(client::channel(self.addr()), WithToken(token.to_owned()))
    }

    /// A client with a token that registers webhooks.
    pub fn webhooks(&self, token: &str) -> Webhooks {
        WebhookServiceClient::with_interceptor(client::channel(self.addr()), WithToken(token.to_owned()))
    }

    /// A client with a token that asks for everything that is kept, or that it goes.
    pub fn privacy(&self, token: &str) -> Privacy {
        PrivacyServiceClient::with_interceptor(client::channel(self.addr()), WithToken(token.to_owned()))
    }

    /// An operator.
    pub fn operator(&self) -> Client {
        self.client(OPERATOR)
    }

    /// A gateway that is told whom to let in.
    pub fn identity(&self) -> IdentityServiceClient<InterceptedService<Channel, WithToken>> {
        IdentityServiceClient::with_interceptor(client::channel(self.addr()), WithToken(GATEWAY.to_owned()))
    }

    /// A gateway that sends what was used.
    pub fn recorder(&self) -> UsageServiceClient<InterceptedService<Channel, WithToken>> {
        UsageServiceClient::with_interceptor(client::channel(self.addr()), WithToken(GATEWAY.to_owned()))
    }

    /// Makes a tenant.
    pub async fn tenant(&self, name: &str) {
        let asked = CreateTenantRequest { name: name.to_owned(), ..Default::default() };
        self.operator().create_tenant(asked).await.expect("a tenant is made");
    }

    /// Makes an API key for a tenant; gives it and its secret.
    pub async fn key(&self, tenant: &str, name: &str) -> (Credential, String) {
        let asked = CreateCredentialRequest { tenant: tenant.to_owned(), name: name.to_owned(), ..an_api_key() };
        let made = self.operator().create_credential(asked).await.expect("a key is made").into_inner();
        (made.credential.expect("the key is told"), made.secret)
    }

    /// What was used, as somebody with this token is told.
    pub async fn usage(&self, token: &str, asked: SumUsageRequest) -> Result<Vec<UsageSum>, Status> {
        let mut queries = UsageQueryServiceClient::with_interceptor(client::channel(self.addr()), WithToken(token.to_owned()));
        Ok(queries.sum_usage(asked).await?.into_inner().sums)
    }
}

/// What is asked for to make an API key that has the usual rights.
pub fn an_api_key() -> CreateCredentialRequest {
    CreateCredentialRequest { kind: CredentialKind::ApiKey.into(), ..Default::default() }
}

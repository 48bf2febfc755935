//! The accounts, by gRPC.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use tonic::{Code, Request, service::interceptor::InterceptedService, transport::Channel};
use torchmesh_api::accounts::v1::{
    Credential, GetListingRequest, GetSessionRequest, GetSessionResponse, ListCredentialsRequest, ListListingsRequest, SumUsageRequest,
    UsageBy, UsageSum, accounts_service_client::AccountsServiceClient, billing_service_client::BillingServiceClient,
    listing_service_client::ListingServiceClient, privacy_service_client::PrivacyServiceClient,
    sign_in_service_client::SignInServiceClient, usage_query_service_client::UsageQueryServiceClient,
    webhook_service_client::WebhookServiceClient,
};
use torchmesh_runtime::process::StartError;

use super::{WithToken, channel, token_in, within};
use crate::{
    config::PortalConfig,
    fail::{Answer, Fail},
};

/// As many as one answer may have.
const PAGE: i32 = 1000;
/// Sums in one answer: each page of them adds everything up again.
const SUMS: i32 = 10_000;
/// A tenant with more credentials than this sees the first so many.
const MOST: usize = 10_000;

/// An invoice as a document may be longer than other answers.
const LARGEST: usize = 32 << 20;

/// A client with somebody's token.
pub type As = AccountsServiceClient<InterceptedService<Channel, WithToken>>;

/// The same, for what use costs.
pub type Billing = BillingServiceClient<InterceptedService<Channel, WithToken>>;

/// The same, for what is said of models.
pub type Listings = ListingServiceClient<InterceptedService<Channel, WithToken>>;

/// The same, for what is kept of somebody.
pub type Privacy = PrivacyServiceClient<InterceptedService<Channel, WithToken>>;

/// The same, for how members sign in.
pub type SignIn = SignInServiceClient<InterceptedService<Channel, WithToken>>;

/// The same, for whom a tenant has told what happens.
pub type Webhooks = WebhookServiceClient<InterceptedService<Channel, WithToken>>;

/// Names of models.
pub(super) type Names = Arc<HashSet<String>>;

/// How long it is remembered which models have a listing: it is the same for everybody.
const REMEMBERED: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Accounts {
    channel: Channel,
    timeout: Duration,
    operator_token: Option<PathBuf>,
    listed: Mutex<Option<(Instant, Names)>>,
}

/// What is asked of usage.
#[derive(Debug, Clone, Default)]
pub struct Used {
    /// From this moment on.
    pub from_ms: i64,
    /// What tells the sums from each other.
    pub by: Vec<UsageBy>,
    /// Only of this tenant; for an operator.
    pub tenant: String,
}

impl Accounts {
    /// Nobody is asked yet.
    pub fn new(config: &PortalConfig) -> Result<Self, StartError> {
        Ok(Self {
            channel: channel(&config.accounts)?,
            timeout: config.timeout,
            operator_token: config.operator_token.clone(),
            listed: Mutex::default(),
        })
    }

    /// As somebody with a session.
    pub fn session(&self, token: &str) -> As {
        self.with(WithToken::new(token))
    }

    /// What use costs, as somebody with a session.
    pub fn billing(&self, token: &str) -> Billing {
        BillingServiceClient::with_interceptor(self.channel.clone(), WithToken::new(token)).max_decoding_message_size(LARGEST)
    }

    /// The same, as an operator. Whether whoever asks us is one has been looked at before.
    pub fn billing_of_all(&self) -> Answer<Billing> {
        Ok(self.billing(&self.operators()?))
    }

    /// What is kept of somebody, as somebody with a session.
    pub fn privacy(&self, token: &str) -> Privacy {
        PrivacyServiceClient::with_interceptor(self.channel.clone(), WithToken::new(token))
    }

    /// Whom a tenant has told what happens, as somebody with a session.
    pub fn webhooks(&self, token: &str) -> Webhooks {
        WebhookServiceClient::with_interceptor(self.channel.clone(), WithToken::new(token))
    }

    /// How members sign in, as somebody with a session, or as everybody does.
    pub fn sign_in(&self, token: Option<&str>) -> SignIn {
        SignInServiceClient::with_interceptor(self.channel.clone(), token.map_or_else(WithToken::none, WithToken::new))
    }

    /// Billing as nobody: for notices of payments, which say themselves whose they are.
    pub fn notices(&self) -> Billing {
        BillingServiceClient::with_interceptor(self.channel.clone(), WithToken::none())
    }

    /// What is said of models, as somebody with a session sees it, or as everybody does.
    pub fn listings(&self, token: Option<&str>) -> Listings {
        ListingServiceClient::with_interceptor(self.channel.clone(), token.map_or_else(WithToken::none, WithToken::new))
            .max_decoding_message_size(LARGEST)
    }

    /// The same, as an operator. Whether whoever asks us is one has been looked at before.
    pub fn listings_of_all(&self) -> Answer<Listings> {
        Ok(self.listings(Some(&self.operators()?)))
    }

    /// The models whose listings somebody with a session, or everybody, may see.
    pub async fn shown(&self, token: Option<&str>) -> Answer<HashSet<String>> {
        self.names(self.listings(token)).await
    }

    /// Every model that has a listing, whoever may see it; none, where there is no operators' token to ask with.
    pub async fn listed(&self) -> Answer<Option<Names>> {
        if let Some((asked, names)) = &*self.listed.lock()
            && asked.elapsed() < REMEMBERED
        {
            return Ok(Some(Arc::clone(names)));
        }
        if !self.has_operator() {
            return Ok(None);
        }
        let names = Arc::new(self.names(self.listings_of_all()?).await?);
        *self.listed.lock() = Some((Instant::now(), Arc::clone(&names)));
        Ok(Some(names))
    }

    /// Whether a model has a listing, whoever may see it; as if it had one, where there is no operators' token to ask with.
    pub async fn is_listed(&self, model: &str) -> Answer<bool> {
        if !self.has_operator() {
            return Ok(true);
        }
        let asked = GetListingRequest { model: model.to_owned() };
        match self.listings_of_all()?.get_listing(self.ask(asked)).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(status.into()),
        }
    }

    async fn names(&self, mut who: Listings) -> Answer<HashSet<String>> {
        let (mut names, mut page_token) = (HashSet::new(), String::new());
        loop {
            let asked = ListListingsRequest { page_size: PAGE, page_token, brief: true, ..Default::default() };
            let told = who.list_listings(self.ask(asked)).await?.into_inner();
            names.extend(told.listings.into_iter().map(|listing| listing.model));
            page_token = told.next_page_token;
            if page_token.is_empty() {
                return Ok(names);
            }
        }
    }

    /// As nobody yet: to sign up and in.
    pub fn anybody(&self) -> As {
        self.with(WithToken::none())
    }

    /// As an operator. Whether whoever asks us is one has been looked at before.
    pub fn operator(&self) -> Answer<As> {
        Ok(self.with(WithToken::new(&self.operators()?)))
    }

    fn operators(&self) -> Answer<String> {
        token_in(self.operator_token.as_deref().ok_or_else(Fail::absent)?)
    }

    /// Whether there is an operators' token.
    pub fn has_operator(&self) -> bool {
        self.operator_token.is_some()
    }

    fn with(&self, token: WithToken) -> As {
        AccountsServiceClient::with_interceptor(self.channel.clone(), token)
    }

    /// A request with the deadline.
    pub fn ask<T>(&self, message: T) -> Request<T> {
        within(self.timeout, message)
    }

    /// Whether they answer at all.
    pub async fn answers(&self) -> bool {
        let asked = self.anybody().get_session(self.ask(GetSessionRequest {})).await;
        asked.is_err_and(|status| status.code() == Code::Unauthenticated)
    }

    /// Whose session a token is of; nobody's, when it is not good.
    pub async fn whose(&self, token: &str) -> Answer<Option<GetSessionResponse>> {
        match self.session(token).get_session(self.ask(GetSessionRequest {})).await {
            Ok(told) => Ok(Some(told.into_inner())),
            Err(status) if status.code() == Code::Unauthenticated => Ok(None),
            Err(status) => Err(status.into()),
        }
    }

    /// Every credential of a tenant; of the member's own, when none is named.
    pub async fn credentials(&self, mut who: As, tenant: &str) -> Answer<Vec<Credential>> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let asked = ListCredentialsRequest { tenant: tenant.to_owned(), page_size: PAGE, page_token };
            let told = who.list_credentials(self.ask(asked)).await?.into_inner();
            all.extend(told.credentials);
            page_token = told.next_page_token;
            if page_token.is_empty() || all.len() >= MOST {
                return Ok(all);
            }
        }
    }

    /// Sums of what was used, with a session's token.
    pub async fn usage(&self, token: &str, used: &Used) -> Answer<Vec<UsageSum>> {
        let mut queries = UsageQueryServiceClient::with_interceptor(self.channel.clone(), WithToken::new(token));
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let by = used.by.iter().map(|by| (*by).into()).collect();
            let (from_unix_ms, tenant) = (used.from_ms, used.tenant.clone());
            let asked = SumUsageRequest { by, from_unix_ms, tenant, page_size: SUMS, page_token, ..Default::default() };
            let told = queries.sum_usage(self.ask(asked)).await?.into_inner();
            all.extend(told.sums);
            page_token = told.next_page_token;
            if page_token.is_empty() || all.len() >= MOST {
                return Ok(all);
            }
        }
    }

    /// The same of every tenant, for operators.
    pub async fn usage_of_all(&self, used: &Used) -> Answer<Vec<UsageSum>> {
        self.usage(&self.operators()?, used).await
    }
}

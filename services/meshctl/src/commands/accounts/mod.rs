//! `meshctl accounts`: asks the accounts, as an operator.

mod billing;
mod keys;
mod listing_file;
mod listings;
mod open_metrics;
mod people;
mod privacy;
mod usage;
mod webhooks;

use std::time::Duration;

use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use torchmesh_api::accounts::v1::accounts_service_client::AccountsServiceClient;

use crate::{
    channel,
    cli::{AccountsArgs, AccountsCommand},
    client::bearer,
    error::{FAILED, Failure, NOT_ALLOWED, Result, UNAVAILABLE, USAGE},
    home::Home,
    key,
    output::Screen,
    run_file::RunFile,
};

/// The accounts, and the operators' token.
struct Accounts {
    channel: Channel,
    token: MetadataValue<Ascii>,
    timeout: Duration,
}

impl Accounts {
    async fn connect(args: &AccountsArgs, home: &Home) -> Result<Self> {
        let running = RunFile::read(home)?;
        let known = args.accounts_addr.clone().or_else(|| running?.accounts());
        let address = known.ok_or_else(|| {
            Failure::new(UNAVAILABLE, format!("no accounts are running from {}", home.shown().display()))
                .help("`meshctl up --accounts` starts a mesh with accounts; --accounts-addr or TORCHMESH_ACCOUNTS_ADDR names others")
        })?;
        let path = args.token_file.clone().unwrap_or_else(|| home.operator_token());
        let token = key::read(&path)?.ok_or_else(|| {
            Failure::new(NOT_ALLOWED, format!("there is no operators' token in {}", path.display())).help("--token-file FILE names one")
        })?;
        let channel = channel::connect(&address, "accounts", &args.tls).await?;
        Ok(Self { channel, token: bearer(&token)?, timeout: args.timeout })
    }

    fn client(&self) -> AccountsServiceClient<Channel> {
        AccountsServiceClient::new(self.channel.clone())
    }

    /// A request with the token and the deadline.
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.unhurried(message);
        request.set_timeout(self.timeout);
        request
    }

    /// A request with the token, whose answer takes as long as it is.
    fn unhurried<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.clone());
        request
    }
}

/// What the accounts refused, in their words and with our advice.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn refused(status: Status) -> Failure {
    let failure = |code| Failure::new(code, status.message());
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => failure(NOT_ALLOWED).help("--token-file FILE names the operators' token"),
        Code::Unavailable | Code::DeadlineExceeded => failure(UNAVAILABLE).help("`meshctl status` shows what is running"),
        Code::InvalidArgument => failure(USAGE),
        _ => failure(FAILED),
    }
}

/// Runs the command.
pub(crate) async fn accounts(args: &AccountsArgs, home: &Home, screen: &Screen) -> Result<()> {
    let accounts = Accounts::connect(args, home).await?;
    match &args.what {
        AccountsCommand::Tenant(command) => people::tenants(&accounts, command, screen).await,
        AccountsCommand::Member(command) => people::members(&accounts, command, screen).await,
        AccountsCommand::Key(command) => keys::keys(&accounts, command, screen).await,
        AccountsCommand::Usage { tenant, model, by, from, to, openmetrics } => {
            let only = [tenant, model].map(|name| name.clone().unwrap_or_default());
            let rows = usage::sums(&accounts, only, by, [*from, *to].map(Option::unwrap_or_default)).await?;
            usage::show(&rows, *openmetrics, screen)
        }
        AccountsCommand::Plan(command) => billing::plans(&accounts, command, screen).await,
        AccountsCommand::Subscribe(args) => billing::subscribe(&accounts, args, screen).await,
        AccountsCommand::Subscription(command) => billing::subscriptions(&accounts, command, screen).await,
        AccountsCommand::Invoice(command) => billing::invoices(&accounts, command, screen).await,
        AccountsCommand::Credit(command) => billing::credits(&accounts, command, screen).await,
        AccountsCommand::Payment(args) => billing::payment(&accounts, args, screen).await,
        AccountsCommand::Budget(command) => billing::budgets(&accounts, command, screen).await,
        AccountsCommand::Statement(command) => billing::statements(&accounts, command, screen).await,
        AccountsCommand::Webhook(args) => webhooks::webhooks(&accounts, &args.what, screen).await,
        AccountsCommand::Listing(args) => listings::listings(&accounts, &args.what, screen).await,
        AccountsCommand::Erase(command) => privacy::erase(&accounts, command, screen).await,
        AccountsCommand::Export(command) => privacy::export(&accounts, command, screen).await,
        AccountsCommand::Ledger { tenant } => billing::ledger(&accounts, tenant.as_deref(), screen).await,
        AccountsCommand::Changes { tenant } => usage::changes(&accounts, tenant.as_deref(), screen).await,
    }
}

/// A time in milliseconds since 1970, for people; `-` where there is none.
fn moment(unix_ms: i64) -> String {
    match u64::try_from(unix_ms) {
        Ok(0) | Err(_) => "-".to_owned(),
        Ok(at) => torchmesh_ledger::time::rfc3339(at).split('.').next().unwrap_or_default().to_owned() + "Z",
    }
}

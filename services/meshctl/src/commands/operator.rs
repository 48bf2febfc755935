//! A connection to a router, for its operator.

use std::time::Duration;

use tonic::{Request, transport::Channel};
use torchmesh_api::admin::v1::router_admin_client::RouterAdminClient;

use crate::{
    channel,
    cli::RouterArgs,
    client::MAX_ANSWER,
    error::{Failure, Result, UNAVAILABLE},
    home::Home,
    run_file::RunFile,
};

/// A router, and how long it may take.
pub(super) struct Operator {
    pub(super) admin: RouterAdminClient<Channel>,
    timeout: Duration,
}

impl Operator {
    /// Connects as the arguments say.
    pub(super) async fn connect(args: &RouterArgs, home: &Home) -> Result<Self> {
        let running = RunFile::read(home)?;
        let known = args.router.clone().or_else(|| running?.routers().into_iter().next());
        let address = known.ok_or_else(|| {
            Failure::new(UNAVAILABLE, format!("no mesh is running from {}", home.shown().display()))
                .help("--router ADDR or TORCHMESH_ROUTER_ADDR names a router of another mesh; `meshctl up --detach` starts one here")
        })?;
        let channel = channel::connect(&address, "router", &args.tls).await;
        let channel = channel.map_err(|failure| failure.otherwise("`meshctl status` shows where the routers of a local mesh are"))?;
        Ok(Self { admin: RouterAdminClient::new(channel).max_decoding_message_size(MAX_ANSWER), timeout: args.timeout })
    }

    /// A request with the deadline.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }
}

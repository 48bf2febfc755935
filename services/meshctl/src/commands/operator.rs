//! A connection to a router, for its operator.

use std::time::Duration;

use tonic::{
    Request,
    transport::{Channel, Endpoint},
};
use torchmesh_api::admin::v1::router_admin_client::RouterAdminClient;

use crate::{
    cli::RouterArgs,
    client::{MAX_ANSWER, address_url},
    error::{Failure, Result, UNAVAILABLE},
    home::Home,
    run_file::RunFile,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
        let url = address_url(&address, "router")?;
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|error| Failure::new(UNAVAILABLE, error.to_string()))?;
        let channel = endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).connect().await.map_err(|_| {
            Failure::new(UNAVAILABLE, format!("no router answers at {url}"))
                .help("`meshctl status` shows where the routers of a local mesh are")
        })?;
        Ok(Self { admin: RouterAdminClient::new(channel).max_decoding_message_size(MAX_ANSWER), timeout: args.timeout })
    }

    /// A request with the deadline.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }
}

//! `meshctl endpoints`: the workers as a router sees them.

use serde::Serialize;
use torchmesh_api::admin::v1::{Endpoint, EndpointVersion, ListEndpointsRequest};

use super::operator::Operator;
use crate::{
    cli::RouterArgs,
    error::Result,
    home::Home,
    output::{Colour, Screen, table},
};

#[derive(Serialize)]
struct Row<'a> {
    endpoint: &'a str,
    address: &'a str,
    model: &'a str,
    version: &'a str,
    in_flight: u64,
    latency_ms: f64,
    left_alone: bool,
}

impl<'a> Row<'a> {
    fn of(endpoint: &'a Endpoint, served: &'a EndpointVersion) -> Self {
        Self {
            endpoint: &endpoint.id,
            address: &endpoint.address,
            model: &served.model,
            version: &served.version,
            in_flight: served.in_flight,
            latency_ms: served.latency * 1000.0,
            left_alone: served.left_alone,
        }
    }
}

/// Lists them, a line for each version that they serve.
pub(crate) async fn endpoints(args: &RouterArgs, home: &Home, screen: &Screen) -> Result<()> {
    let mut operator = Operator::connect(args, home).await?;
    let request = operator.request(ListEndpointsRequest {});
    let found = operator.admin.list_endpoints(request).await?.into_inner().endpoints;
    let rows: Vec<_> = found.iter().flat_map(|endpoint| endpoint.versions.iter().map(move |served| Row::of(endpoint, served))).collect();
    screen.show(&rows, || text(&rows, screen))
}

fn text(rows: &[Row<'_>], screen: &Screen) -> String {
    if rows.is_empty() {
        return "the router knows no worker that serves a model".to_owned();
    }
    let row = |row: &Row<'_>| {
        let state = if row.left_alone { screen.paint(Colour::Red, "left alone") } else { screen.paint(Colour::Green, "well") };
        let latency = if row.latency_ms > 0.0 { format!("{:.2} ms", row.latency_ms) } else { "-".to_owned() };
        let [endpoint, address, model, version] = [row.endpoint, row.address, row.model, row.version].map(str::to_owned);
        [endpoint, address, model, version, row.in_flight.to_string(), latency, state]
    };
    table(["endpoint", "address", "model", "version", "in flight", "latency", "state"], rows.iter().map(row))
}

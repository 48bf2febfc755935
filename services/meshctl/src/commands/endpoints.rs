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
    zone: &'a str,
    model: &'a str,
    version: &'a str,
    in_flight: u64,
    /// Of the endpoint, all its models together.
    queued: u64,
    wait_ms: f64,
    /// Of the endpoint likewise; 0: there is no such limit.
    most_in_flight: u64,
    latency_ms: f64,
    left_alone: bool,
}

impl<'a> Row<'a> {
    fn of(endpoint: &'a Endpoint, served: &'a EndpointVersion) -> Self {
        Self {
            endpoint: &endpoint.id,
            address: &endpoint.address,
            zone: &endpoint.zone,
            model: &served.model,
            version: &served.version,
            in_flight: served.in_flight,
            queued: endpoint.queued,
            wait_ms: endpoint.wait_us as f64 / 1000.0,
            most_in_flight: endpoint.most_in_flight,
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
        let zone = if row.zone.is_empty() { "-" } else { row.zone };
        let in_flight = match row.most_in_flight {
            0 => row.in_flight.to_string(),
            most => format!("{} of {most}", row.in_flight),
        };
        let [endpoint, address, zone, model, version] = [row.endpoint, row.address, zone, row.model, row.version].map(str::to_owned);
        [endpoint, address, zone, model, version, in_flight, row.queued.to_string(), latency, state]
    };
    table(["endpoint", "address", "zone", "model", "version", "in flight", "queue", "latency", "state"], rows.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_an_endpoint_is_what_waits_there_and_its_limit_are_shown() {
        let version = EndpointVersion { model: "m".into(), version: "1".into(), in_flight: 3, ..EndpointVersion::default() };
        let known =
            Endpoint { id: "a".into(), zone: "here".into(), queued: 7, most_in_flight: 9, versions: vec![version], ..Endpoint::default() };
        let unknown = Endpoint { id: "b".into(), zone: String::new(), queued: 0, most_in_flight: 0, ..known.clone() };
        let rows = [&known, &unknown].map(|endpoint| Row::of(endpoint, &endpoint.versions[0]));
        let shown = text(&rows, &Screen::plain());
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["a", "here", "m", "1", "3", "of", "9", "7", "-", "well"]);
        assert_eq!(lines[2], ["b", "-", "m", "1", "3", "0", "-", "well"]);
    }
}

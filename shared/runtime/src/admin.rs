//! The admin port: `/live`, `/ready` and `/metrics`, in clear HTTP/1.1, for probes and scrapers inside.

use axum::{Router, http::StatusCode, http::header, response::IntoResponse, routing::get};
use tokio::net::TcpListener;

use crate::{
    lifecycle::{Drain, Readiness},
    metrics::Metrics,
};

/// Serves until the process ends.
pub(crate) async fn serve(listener: std::net::TcpListener, readiness: Readiness, drain: Drain, metrics: Metrics) -> std::io::Result<()> {
    let ready = move || {
        let (code, text) = match (drain.is_draining(), readiness.is_ready()) {
            (true, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            (false, false) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            (false, true) => (StatusCode::OK, "ready\n"),
        };
        std::future::ready((code, text))
    };
    let page = move || std::future::ready(scrape(&metrics));
    let app = Router::new().route("/live", get(|| async { "live\n" })).route("/ready", get(ready)).route("/metrics", get(page));
    axum::serve(TcpListener::from_std(listener)?, app).await
}

fn scrape(metrics: &Metrics) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.encode())
}

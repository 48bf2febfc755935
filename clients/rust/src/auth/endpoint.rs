//! One question to a token endpoint, over a connection of its own.

use std::{pin::pin, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::lookup_host, time::timeout};
use tonic::Status;

use crate::{
    connection::{Dialer, Stream, Tls, Trust},
    origin::Origin,
};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MOST: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Endpoint {
    origin: Origin,
    path: String,
    pub(super) trust: Trust,
}

impl Endpoint {
    /// `None` for a URL that is not of HTTP, or that is in clear text and not on this machine.
    pub(super) fn new(uri: &Uri) -> Option<Self> {
        let origin = Origin::of(uri).filter(|origin| origin.secure || origin.is_this_machine())?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Some(Self { origin, path, trust: Trust::System })
    }

    /// Posts the form as the client that this is.
    pub(super) async fn post(&self, id: &str, secret: &str, form: &[(&'static str, String)]) -> Result<(StatusCode, Bytes), Status> {
        let unreachable = |why: &str| Status::unavailable(format!("the token endpoint at {} cannot be asked: {why}", self.origin));
        let asked = async {
            let stream = self.connect().await.map_err(|error| unreachable(&error.to_string()))?;
            let request =
                self.request(id, secret, form).map_err(|error| Status::internal(format!("the client's id or secret: {error}")))?;
            exchange(stream, request).await.map_err(|error| unreachable(&error.to_string()))
        };
        timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(unreachable("it does not answer in 10 s")))
    }

    async fn connect(&self) -> Result<Stream, crate::BoxError> {
        let tls = if self.origin.secure { Some(Tls::new(&self.origin.host, &self.trust, None, "http/1.1")?) } else { None };
        let mut failed = None;
        for address in lookup_host((self.origin.bare_host(), self.origin.port)).await? {
            match (Dialer { address, tls: tls.clone() }).dial().await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.map_or_else(|| "its name has no address".into(), Into::into))
    }

    fn request(&self, id: &str, secret: &str, form: &[(&'static str, String)]) -> http::Result<Request<Full<Bytes>>> {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        // RFC 6749, section 2.3.1: both are form-encoded first.
        let basic = STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
        let mut basic = HeaderValue::try_from(format!("Basic {basic}"))?;
        basic.set_sensitive(true);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        Request::post(&self.path)
            .header(header::HOST, self.origin.authority())
            .header(header::AUTHORIZATION, basic)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(Full::new(body.into()))
    }
}

async fn exchange(stream: Stream, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), crate::BoxError> {
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let response = send.send_request(request).await?;
        let status = response.status();
        Ok((status, Limited::new(response.into_body(), MOST).collect().await?.to_bytes()))
    };
    let (mut answer, connection) = (pin!(answer), pin!(connection));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = connection => {
            ended?;
            // The server has hung up behind its answer.
            answer.await
        }
    }
}

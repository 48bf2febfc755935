//! Files of a web server: HTTP with ranges.

use std::error::Error as _;

use reqwest::{Client, Response, StatusCode, Url, header};

use super::{CONNECT, Listing, Reading, RemoteFile, SILENCE, impatient};
use crate::{error::FetchError, pattern::Pattern};

const REMEDY: &str = "the server wants something that a worker does not have";

/// Some files of a web server.
pub(crate) struct Web {
    client: Client,
    files: Vec<(String, Url)>,
}

impl Web {
    /// The file at `url`, or the named ones of the folder that it is.
    pub(super) fn open(url: &Url, files: &[Pattern]) -> Result<Self, FetchError> {
        let senseless = |reason: &str| FetchError::senseless(url.as_str(), reason);
        let files = if url.path().ends_with('/') {
            let of = |pattern: &Pattern| {
                let name = pattern.literal()?;
                Some((name.to_owned(), url.join(name).ok()?))
            };
            files.iter().map(of).collect::<Option<_>>().ok_or_else(|| senseless("its files must be named"))?
        } else {
            let name = url.path_segments().and_then(Iterator::last).unwrap_or_default();
            vec![(name.to_owned(), url.clone())]
        };
        Ok(Self { client: client()?, files })
    }

    pub(super) async fn list(&self) -> Result<Listing, FetchError> {
        let mut files = Vec::with_capacity(self.files.len());
        for (name, url) in &self.files {
            let answer = send(self.client.head(url.clone()), url.as_str()).await?;
            // A server that does not know HEAD knows GET.
            if answer.status() == StatusCode::METHOD_NOT_ALLOWED || answer.status() == StatusCode::NOT_IMPLEMENTED {
                files.push(RemoteFile { name: name.clone(), ..RemoteFile::default() });
                continue;
            }
            let answer = good(answer, url.as_str(), REMEDY)?;
            // The body of an answer to HEAD is empty, whatever its announced length.
            let bytes = answer.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
            files.push(RemoteFile { name: name.clone(), bytes, tag: tag(&answer), sha256: None });
        }
        Ok(Listing { commit: None, files })
    }

    pub(super) async fn read(&self, file: &RemoteFile, from: u64) -> Result<Reading, FetchError> {
        let missing = || FetchError::Missing { place: file.name.clone() };
        let (_, url) = self.files.iter().find(|(name, _)| *name == file.name).ok_or_else(missing)?;
        read(self.client.get(url.clone()), url.as_str(), file, from, REMEDY).await
    }
}

/// A client for every server: TLS by rustls, the system's certificates, at most ten redirects.
pub(super) fn client() -> Result<Client, FetchError> {
    // The first provider of the process stays; they are all the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).user_agent(concat!("torchmesh/", env!("CARGO_PKG_VERSION")));
    client.build().map_err(|error| FetchError::senseless("the HTTP client", error.to_string()))
}

pub(super) async fn send(request: reqwest::RequestBuilder, place: &str) -> Result<Response, FetchError> {
    request.send().await.map_err(|error| {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(deeper) = source {
            reason = deeper.to_string();
            source = deeper.source();
        }
        FetchError::Unreachable { place: place.to_owned(), reason }
    })
}

/// The answer, if it is one of success.
pub(super) fn good(answer: Response, place: &str, remedy: &'static str) -> Result<Response, FetchError> {
    let place = place.to_owned();
    match answer.status() {
        status if status.is_success() => Ok(answer),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(FetchError::Missing { place }),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(FetchError::Refused { place, status: status.as_u16(), remedy }),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT => {
            Err(FetchError::Unreachable { place, reason: format!("HTTP status {}", status.as_u16()) })
        }
        status => Err(FetchError::Senseless { place, reason: format!("HTTP status {}", status.as_u16()) }),
    }
}

/// Asks for a file from a position on: only if it is still the file of that tag, where there is one.
pub(super) async fn read(
    mut request: reqwest::RequestBuilder,
    place: &str,
    file: &RemoteFile,
    from: u64,
    remedy: &'static str,
) -> Result<Reading, FetchError> {
    if from > 0 {
        request = request.header(header::RANGE, format!("bytes={from}-"));
        if let Some(tag) = &file.tag {
            request = request.header(header::IF_RANGE, tag);
        }
    }
    let answer = good(send(request, place).await?, place, remedy)?;
    let from = if answer.status() == StatusCode::PARTIAL_CONTENT { begin(&answer).filter(|begin| *begin == from) } else { Some(0) };
    let from = from.ok_or_else(|| FetchError::senseless(place, "it sends another range than it was asked for"))?;
    Ok(Reading { from, stream: impatient(place.to_owned(), answer.bytes_stream()) })
}

/// Where the range begins that the answer holds.
fn begin(answer: &Response) -> Option<u64> {
    let range = answer.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// A strong tag; a weak one does not promise the same bytes.
pub(super) fn tag(answer: &Response) -> Option<String> {
    let tag = answer.headers().get(header::ETAG)?.to_str().ok()?;
    (!tag.starts_with("W/")).then(|| tag.to_owned())
}

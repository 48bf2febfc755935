//! The servers that models come from: what is there, and the bytes of a file from a position on.

mod hub;
pub mod objects;
mod web;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream::BoxStream};

use crate::{Address, Source, error::FetchError, pattern::is_plain};

use self::{hub::Hub, objects::Objects, web::Web};

/// How long a connection may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may send nothing.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// What a source holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Listing {
    /// The commit that the revision stands for, on a hub.
    pub(crate) commit: Option<String>,
    /// The files that are wanted.
    pub(crate) files: Vec<RemoteFile>,
}

/// A file of a source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RemoteFile {
    /// Its name, relative to the source.
    pub(crate) name: String,
    /// Its length, if the server says.
    pub(crate) bytes: Option<u64>,
    /// Changes with its content, if the server says.
    pub(crate) tag: Option<String>,
    /// Its SHA-256, if the server says.
    pub(crate) sha256: Option<String>,
}

/// A file's bytes on their way.
pub(crate) struct Reading {
    /// The position of the first byte: the one asked for, or 0 where the server begins again.
    pub(crate) from: u64,
    /// The bytes up to the file's end.
    pub(crate) stream: BoxStream<'static, Result<Bytes, FetchError>>,
}

/// A server.
pub(crate) enum Store {
    /// A Hugging Face hub.
    Hub(Hub),
    /// An object store.
    Objects(Objects),
    /// A web server.
    Web(Web),
}

impl Store {
    /// The server of a source. Nothing is asked of it yet. `commit` is what a hub's revision stood for at the first fetch.
    pub(crate) fn open(source: &Source, commit: Option<&str>) -> Result<Self, FetchError> {
        match &source.address {
            Address::Hub { repository, revision } => Hub::open(repository, commit.unwrap_or(revision)).map(Self::Hub),
            Address::Objects(url) => Objects::open(url).map(Self::Objects),
            Address::Web(url) => Web::open(url, &source.files).map(Self::Web),
        }
    }

    /// Asks for the files that the source wants.
    pub(crate) async fn list(&self, source: &Source) -> Result<Listing, FetchError> {
        let mut listing = match self {
            Self::Hub(hub) => hub.list().await?,
            Self::Objects(objects) => objects.list().await?,
            Self::Web(web) => web.list().await?,
        };
        listing.files.retain(|file| source.wants(&file.name));
        if let Some(bad) = listing.files.iter().find(|file| !is_plain(&file.name)) {
            return Err(FetchError::senseless(&source.address.to_string(), format!("{:?} is not a name for a file", bad.name)));
        }
        if listing.files.is_empty() {
            let wanted = if source.files.is_empty() { "any".to_owned() } else { source.wanted().join(", ") };
            return Err(FetchError::Nothing { place: source.address.to_string(), wanted });
        }
        Ok(listing)
    }

    /// Asks for a file's bytes from a position on.
    pub(crate) async fn read(&self, file: &RemoteFile, from: u64) -> Result<Reading, FetchError> {
        match self {
            Self::Hub(hub) => hub.read(file, from).await,
            Self::Objects(objects) => objects.read(file, from).await,
            Self::Web(web) => web.read(file, from).await,
        }
    }
}

/// The stream, broken off where the server is silent for too long.
fn impatient<E: std::fmt::Display + 'static>(
    place: String,
    stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> BoxStream<'static, Result<Bytes, FetchError>> {
    let steps = futures_util::stream::unfold((place, Box::pin(stream)), |(place, mut stream)| async move {
        let item = match tokio::time::timeout(SILENCE, stream.next()).await {
            Ok(None) => return None,
            Ok(Some(Ok(bytes))) => Ok(bytes),
            Ok(Some(Err(error))) => Err(FetchError::Unreachable { place: place.clone(), reason: error.to_string() }),
            Err(_) => Err(FetchError::Unreachable { place: place.clone(), reason: format!("nothing came for {} s", SILENCE.as_secs()) }),
        };
        Some((item, (place, stream)))
    });
    steps.boxed()
}

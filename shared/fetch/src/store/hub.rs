//! A Hugging Face hub: its listing of a repository at a revision, and its files at a commit.

use std::{env, fs, path::PathBuf};

use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;

use super::{Listing, Reading, RemoteFile, web};
use crate::{error::FetchError, lock::is_sha256};

/// Where the hub is when `HF_ENDPOINT` says nothing else.
const ENDPOINT: &str = "https://huggingface.co";
const REMEDY: &str = "accept the model's conditions on the hub, and give a token in HF_TOKEN or in the file that HF_TOKEN_PATH names";
/// The longest listing that is read, in bytes.
const MAX_LISTING: usize = 16 << 20;

/// A repository at a revision.
pub(crate) struct Hub {
    client: Client,
    endpoint: Url,
    repository: String,
    revision: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
}

impl Hub {
    pub(super) fn open(repository: &str, revision: &str) -> Result<Self, FetchError> {
        let endpoint = env::var("HF_ENDPOINT").ok().filter(|endpoint| !endpoint.is_empty()).unwrap_or_else(|| ENDPOINT.to_owned());
        let senseless = || FetchError::senseless("HF_ENDPOINT", "it must be an http:// or https:// address");
        let endpoint = Url::parse(&endpoint).ok().filter(|url| !url.cannot_be_a_base()).ok_or_else(senseless)?;
        Ok(Self { client: web::client()?, endpoint, repository: repository.to_owned(), revision: revision.to_owned(), token: token() })
    }

    pub(super) async fn list(&self) -> Result<Listing, FetchError> {
        let place = format!("hf://{}@{}", self.repository, self.revision);
        let mut url = self.url(&["api", "models"], &["revision", &self.revision]);
        url.set_query(Some("blobs=true"));
        let answer = web::good(web::send(self.with_token(self.client.get(url)), &place).await?, &place, REMEDY)?;
        let body = answer.bytes().await.map_err(|error| FetchError::Unreachable { place: place.clone(), reason: error.to_string() })?;
        let read = serde_json::from_slice::<Answer>(&body).ok().filter(|_| body.len() <= MAX_LISTING);
        let answer = read.ok_or_else(|| FetchError::senseless(&place, "it is not a hub's listing"))?;
        if answer.sha.is_empty() || !answer.sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(FetchError::senseless(&place, "its listing names no commit"));
        }
        let file = |sibling: Sibling| {
            let sha256 = sibling.lfs.and_then(|lfs| lfs.sha256).filter(|sha256| is_sha256(sha256));
            RemoteFile { name: sibling.rfilename, bytes: sibling.size, tag: sha256.clone().or(sibling.blob), sha256 }
        };
        Ok(Listing { commit: Some(answer.sha), files: answer.siblings.into_iter().map(file).collect() })
    }

    /// `revision` is a commit by now, so the file cannot change: what is resumed is of the same file without the server's tag.
    pub(super) async fn read(&self, file: &RemoteFile, from: u64) -> Result<Reading, FetchError> {
        let parts: Vec<_> = ["resolve", self.revision.as_str()].into_iter().chain(file.name.split('/')).collect();
        let request = self.with_token(self.client.get(self.url(&[], &parts)));
        let place = format!("hf://{}@{}/{}", self.repository, self.revision, file.name);
        web::read(request, &place, &RemoteFile { tag: None, ..file.clone() }, from, REMEDY).await
    }

    /// The endpoint with the repository's path, each part escaped.
    fn url(&self, before: &[&str], behind: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(before).extend(self.repository.split('/')).extend(behind);
        }
        url
    }

    /// The token goes to the hub alone: it is taken off where a redirect leaves for another host.
    fn with_token(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

/// `HF_TOKEN`; else the file `HF_TOKEN_PATH`, else `token` in `HF_HOME` or `~/.cache/huggingface`.
fn token() -> Option<String> {
    let text = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
    let home = || text("HF_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(text("HOME")?).join(".cache/huggingface")));
    let file = || fs::read_to_string(text("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| Some(home()?.join("token")))?).ok();
    text("HF_TOKEN").or_else(file).map(|token| token.trim().to_owned()).filter(|token| !token.is_empty())
}

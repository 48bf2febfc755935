//! A folder of an object store: Amazon's S3 and what speaks its language, Google's and Microsoft's. Credentials and endpoints come from the
//! environment, in each store's own names (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`, …).

use std::{sync::Arc, time::Duration};

use futures_util::TryStreamExt as _;
use object_store::{
    ClientConfigKey, Error, GetOptions, GetRange, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    path::Path,
};
use reqwest::Url;

use super::{CONNECT, Listing, Reading, RemoteFile, impatient};
use crate::error::FetchError;

/// How long a whole file may take.
const WHOLE: &str = "7 days";
const REMEDY: &str = "the environment's credentials do not allow reading it";

/// A folder of an object store.
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    place: String,
}

impl Objects {
    pub(super) fn open(url: &Url) -> Result<Self, FetchError> {
        let (store, folder) = open(url)?;
        Ok(Self { store, folder, place: url.to_string() })
    }

    pub(super) async fn list(&self) -> Result<Listing, FetchError> {
        let found: Vec<_> = self.store.list(Some(&self.folder)).try_collect().await.map_err(|error| fault(&self.place, &error))?;
        let file = |meta: object_store::ObjectMeta| {
            let parts: Vec<_> = meta.location.prefix_match(&self.folder)?.map(|part| part.as_ref().to_owned()).collect();
            Some(RemoteFile { name: parts.join("/"), bytes: Some(meta.size), tag: meta.e_tag, sha256: None })
        };
        // A store's own marks for folders are objects without a name or a length.
        let files: Vec<_> = found.into_iter().filter_map(file).filter(|file| !file.name.is_empty()).collect();
        if files.is_empty() {
            return Err(FetchError::Missing { place: self.place.clone() });
        }
        Ok(Listing { commit: None, files })
    }

    pub(super) async fn read(&self, file: &RemoteFile, from: u64) -> Result<Reading, FetchError> {
        let location = file.name.split('/').fold(self.folder.clone(), Path::join);
        let place = format!("{}/{}", self.place.trim_end_matches('/'), file.name);
        let range = (from > 0).then_some(GetRange::Offset(from));
        let options = GetOptions { range, if_match: file.tag.clone(), ..GetOptions::default() };
        let answer = self.store.get_opts(&location, options).await.map_err(|error| fault(&place, &error))?;
        Ok(Reading { from: answer.range.start, stream: impatient(place, answer.into_stream()) })
    }

    #[cfg(test)]
    pub(super) fn on(store: Arc<dyn ObjectStore>, folder: &str) -> Self {
        Self { store, folder: Path::from(folder), place: format!("s3://bucket/{folder}") }
    }
}

/// The store of an address, `s3://BUCKET/FOLDER`, `gs://…` or `az://…`, and the folder in it. Nothing is asked of it yet.
///
/// A request that fails for a moment is made again, twice at most. None has an end of its own: whoever asks says how long it may take.
///
/// Error: what the environment says of the store makes no sense.
pub fn open(url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), FetchError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = built(url).map_err(|error| fault(url.as_str(), &error))?;
    let folder = Path::from_url_path(url.path()).map_err(|error| FetchError::senseless(url.as_str(), error.to_string()))?;
    Ok((store, folder))
}

fn built(url: &Url) -> object_store::Result<Arc<dyn ObjectStore>> {
    // A large file takes its time: silence is what breaks a download off. What fails is begun again by the download, which resumes.
    let retry = RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
    let connect = format!("{} seconds", CONNECT.as_secs());
    let limits = [(ClientConfigKey::Timeout, WHOLE.to_owned()), (ClientConfigKey::ConnectTimeout, connect)];
    macro_rules! built {
        ($builder:ty, $key:path) => {{
            let builder = <$builder>::from_env().with_retry(retry).with_url(url.as_str());
            Arc::new(limits.into_iter().fold(builder, |builder, (key, value)| builder.with_config($key(key), value)).build()?)
        }};
    }
    Ok(match url.scheme() {
        "gs" => built!(GoogleCloudStorageBuilder, GoogleConfigKey::Client),
        "az" => built!(MicrosoftAzureBuilder, AzureConfigKey::Client),
        _ => built!(AmazonS3Builder, AmazonS3ConfigKey::Client),
    })
}

fn fault(place: &str, error: &Error) -> FetchError {
    let place = place.to_owned();
    match error {
        Error::NotFound { .. } => FetchError::Missing { place },
        Error::PermissionDenied { .. } => FetchError::Refused { place, status: 403, remedy: REMEDY },
        Error::Unauthenticated { .. } => FetchError::Refused { place, status: 401, remedy: REMEDY },
        Error::Precondition { .. } => FetchError::Unreachable { place, reason: "it changed while it was read".to_owned() },
        Error::Generic { source, .. } => {
            let mut deepest: &dyn std::error::Error = source.as_ref();
            while let Some(deeper) = deepest.source() {
                deepest = deeper;
            }
            FetchError::Unreachable { place, reason: deepest.to_string() }
        }
        other => FetchError::Senseless { place, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt as _, memory::InMemory};

    use super::*;

    async fn whole(objects: &Objects, file: &RemoteFile, from: u64) -> Result<Vec<u8>, FetchError> {
        let reading = objects.read(file, from).await?;
        assert_eq!(reading.from, from);
        Ok(reading.stream.try_collect::<Vec<_>>().await?.concat())
    }

    #[tokio::test]
    async fn a_folder_is_listed_by_relative_names_and_a_file_is_read_from_any_position_while_it_is_the_same() {
        let store = Arc::new(InMemory::new());
        for (path, bytes) in [("models/m/model.pt", "weights"), ("models/m/1_Pooling/config.json", "{}"), ("models/mm/model.pt", "other")] {
            store.put(&Path::from(path), bytes.into()).await.unwrap();
        }
        let objects = Objects::on(store.clone(), "models/m");
        let mut files = objects.list().await.unwrap().files;
        files.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(
            files.iter().map(|file| (file.name.as_str(), file.bytes)).collect::<Vec<_>>(),
            [("1_Pooling/config.json", Some(2)), ("model.pt", Some(7))]
        );
        assert_eq!(whole(&objects, &files[1], 0).await.unwrap(), b"weights");
        assert_eq!(whole(&objects, &files[1], 3).await.unwrap(), b"ghts");
        store.put(&Path::from("models/m/model.pt"), "changed".into()).await.unwrap();
        assert!(whole(&objects, &files[1], 3).await.unwrap_err().is_passing(), "it is listed anew");
        assert!(matches!(Objects::on(store, "nothing").list().await, Err(FetchError::Missing { .. })));
    }
}

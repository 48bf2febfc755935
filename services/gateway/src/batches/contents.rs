//! An object store that the bytes of files are in: `FOLDER/TENANT/ID.jsonl`.
//!
//! What there is says the folder beside it, the [`shelf`](super::shelf): an object counts as soon as a record names it, and never changes. All of it is done on one
//! runtime, whose connections outlive the data threads.

use std::{future::Future, io, path::Path as File, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use reqwest::Url;
use tokio::{
    fs,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Handle,
    time::timeout,
};
use torchmesh_api::ids::TenantId;
use torchmesh_fetch::objects;

/// An object is sent in parts of this size.
const PART: usize = 8 << 20;
/// How long a request may take, with what it sends.
const WITHIN: Duration = Duration::from_secs(120);
/// How long a store may send nothing.
const SILENCE: Duration = Duration::from_secs(30);

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Contents {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    control: Handle,
}

/// A file's bytes on their way.
pub(super) type Pieces = BoxStream<'static, io::Result<Bytes>>;

impl Contents {
    /// Those at an address. Nothing is asked of it yet.
    pub(super) fn open(url: &Url, control: &Handle) -> Result<Self, String> {
        let (store, folder) = objects::open(url).map_err(|error| error.to_string())?;
        Ok(Self { store, folder, control: control.clone() })
    }

    #[cfg(test)]
    pub(super) fn of_test(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, folder: Path::from("mesh"), control: Handle::current() }
    }

    fn at(&self, tenant: &TenantId, id: &str) -> Path {
        self.folder.clone().join(tenant.as_str()).join(format!("{id}.jsonl"))
    }

    /// Puts what is in a file, in the place of what is there under this name. On a thread that may wait.
    pub(super) fn put(&self, tenant: &TenantId, id: &str, from: &File) -> io::Result<()> {
        self.control.block_on(self.send(&self.at(tenant, id), from))
    }

    /// Removes what is there, if anything is. On a thread that may wait.
    pub(super) fn remove(&self, tenant: &TenantId, id: &str) -> io::Result<()> {
        let at = self.at(tenant, id);
        match self.control.block_on(within(self.store.delete(&at))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Puts what is there, so many bytes of it, into a file, whole or not at all. On a thread that may wait.
    pub(super) fn fetch(&self, tenant: &TenantId, id: &str, bytes: u64, to: &File) -> io::Result<()> {
        self.control.block_on(async {
            let draft = to.with_extension("fetched");
            let mut file = fs::File::create(&draft).await?;
            let (mut pieces, mut length) = (receive(Arc::clone(&self.store), self.at(tenant, id)).await?, 0);
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                length += piece.len() as u64;
                file.write_all(&piece).await?;
            }
            if length != bytes {
                return Err(io::Error::other(format!("{id} has {length} bytes in the store, and {bytes} were put there")));
            }
            file.flush().await?;
            file.sync_all().await?;
            fs::rename(&draft, to).await
        })
    }

    /// What is there, as it comes.
    pub(super) async fn read(&self, tenant: &TenantId, id: &str) -> io::Result<Pieces> {
        let received = self.control.spawn(receive(Arc::clone(&self.store), self.at(tenant, id)));
        received.await.map_err(io::Error::other)?
    }

    async fn send(&self, at: &Path, from: &File) -> io::Result<()> {
        let mut file = fs::File::open(from).await?;
        let first = part(&mut file).await?;
        if first.len() < PART {
            return within(self.store.put(at, first.into())).await.map(drop);
        }
        let mut upload = within(self.store.put_multipart(at)).await?;
        let mut next = first;
        let sent = loop {
            if next.is_empty() {
                break Ok(());
            }
            if let Err(error) = within(upload.put_part(next.into())).await {
                break Err(error);
            }
            match part(&mut file).await {
                Ok(read) => next = read,
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = sent {
            // What stays behind of it is the store's to clear away.
            let _ = within(upload.abort()).await;
            return Err(error);
        }
        within(upload.complete()).await.map(drop)
    }
}

/// The next part of a file; nothing at its end.
async fn part(file: &mut fs::File) -> io::Result<Bytes> {
    let mut part = BytesMut::new();
    let mut rest = file.take(PART as u64);
    while rest.read_buf(&mut part).await? > 0 {}
    Ok(part.freeze())
}

async fn receive(store: Arc<dyn ObjectStore>, at: Path) -> io::Result<Pieces> {
    let pieces = within(store.get(&at)).await?.into_stream();
    let patient = stream::unfold(Some(pieces), |pieces| async {
        let mut pieces = pieces?;
        match timeout(SILENCE, pieces.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
            Ok(Some(Err(error))) => Some((Err(error.into()), None)),
            Err(_) => Some((Err(silent()), None)),
        }
    });
    Ok(patient.boxed())
}

async fn within<T>(asked: impl Future<Output = object_store::Result<T>>) -> io::Result<T> {
    timeout(WITHIN, asked).await.map_or_else(|_| Err(silent()), |answer| answer.map_err(io::Error::from))
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the store does not answer in time")
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use object_store::memory::InMemory;

    use super::*;

    const ID: &str = "file-abcdefghijklmnopqrstuvwx";

    async fn blocking<T: Send + 'static>(contents: &Contents, work: impl FnOnce(Contents, TenantId) -> T + Send + 'static) -> T {
        let contents = contents.clone();
        tokio::task::spawn_blocking(move || work(contents, TenantId::parse("acme").unwrap())).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_put_is_read_and_fetched_whatever_its_size_and_is_its_tenants() {
        let (folder, tenant) = (tempfile::tempdir().unwrap(), TenantId::parse("acme").unwrap());
        let contents = Contents::of_test(Arc::new(InMemory::new()));
        for size in [0, 1, PART - 1, PART, PART + 1, 2 * PART] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let (from, to) = (folder.path().join("from"), folder.path().join("to.input"));
            std::fs::write(&from, &bytes).unwrap();
            blocking(&contents, move |contents, tenant| contents.put(&tenant, ID, &from)).await.unwrap();
            let read: Vec<Bytes> = contents.read(&tenant, ID).await.unwrap().try_collect().await.unwrap();
            assert_eq!(read.concat(), bytes, "{size}");
            let target = to.clone();
            blocking(&contents, move |contents, tenant| contents.fetch(&tenant, ID, size as u64, &target)).await.unwrap();
            assert_eq!(std::fs::read(&to).unwrap(), bytes, "{size}");
        }
        let other = contents.read(&TenantId::parse("globex").unwrap(), ID).await.err().unwrap();
        assert_eq!(other.kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn what_is_not_whole_is_not_fetched_and_what_is_gone_can_be_removed_again() {
        let folder = tempfile::tempdir().unwrap();
        let contents = Contents::of_test(Arc::new(InMemory::new()));
        let (from, to) = (folder.path().join("from"), folder.path().join("to.input"));
        std::fs::write(&from, "abc").unwrap();
        blocking(&contents, move |contents, tenant| contents.put(&tenant, ID, &from)).await.unwrap();
        let target = to.clone();
        let fetched = blocking(&contents, move |contents, tenant| contents.fetch(&tenant, ID, 4, &target)).await;
        assert!(fetched.is_err() && !to.exists());
        for _ in 0..2 {
            blocking(&contents, |contents, tenant| contents.remove(&tenant, ID)).await.unwrap();
        }
        let target = to.clone();
        let gone = blocking(&contents, move |contents, tenant| contents.fetch(&tenant, ID, 3, &target)).await.unwrap_err();
        assert_eq!((gone.kind(), to.exists()), (io::ErrorKind::NotFound, false));
    }
}

//! Documents in a folder: one file each. For the routers of one machine.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use tokio::{sync::watch, task::spawn_blocking};

use super::{ABSENT, Document, Known, StoreError, history_entry, history_of, too_many};

/// How often a file is looked at, and a lock tried for that another router holds.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// See the module. Whoever changes something holds the lock of the folder; a reader needs none, since files appear whole.
#[derive(Debug, Clone)]
pub struct FolderStore {
    folder: Arc<Path>,
}

impl FolderStore {
    /// Makes the folder when it is not there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|error| wrong(folder, error))?;
        Ok(Self { folder: folder.into() })
    }

    pub(super) fn watch(&self, path: &str) -> watch::Receiver<Known> {
        let (sender, receiver) = watch::channel(Known::NotYet);
        let (store, path) = (self.clone(), path.to_owned());
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(LOOK_EVERY);
            loop {
                tokio::select! {
                    () = sender.closed() => return,
                    _ = tick.tick() => {}
                }
                match store.read(&path).await {
                    Ok(now) => {
                        sender.send_if_modified(|known| {
                            let now = Known::from(now);
                            let changed = *known != now;
                            *known = now;
                            changed
                        });
                    }
                    Err(error) => tracing::warn!(%error, "a document cannot be read; what was read last stays in use"),
                }
            }
        });
        receiver
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Document>, StoreError> {
        let file = self.file(path);
        blocking(move || read(&file)).await
    }

    pub(super) async fn list(&self, folder: &str) -> Result<Vec<(String, Document)>, StoreError> {
        let folder = self.folder.join(folder);
        blocking(move || {
            let mut found = Vec::new();
            for name in names(&folder)? {
                if let Some(document) = read(&folder.join(&name))? {
                    found.push((name.trim_end_matches(".toml").trim_end_matches(".json").to_owned(), document));
                }
            }
            Ok(found)
        })
        .await
    }

    pub(super) async fn swap(&self, path: &str, version: u64, text: &str, history: bool) -> Result<bool, StoreError> {
        let (store, path, text) = (self.clone(), path.to_owned(), text.to_owned());
        blocking(move || {
            let file = store.file(&path);
            let _held = store.lock("write.lock", FlockOperation::LockExclusive)?;
            if read(&file)?.map_or(ABSENT, |document| document.version) != version {
                return Ok(false);
            }
            if history {
                replace(&store.folder.join(history_entry(&path)), &text)?;
                let folder = store.folder.join(history_of(&path));
                for name in too_many(names(&folder)?) {
                    let old = folder.join(name);
                    fs::remove_file(&old).map_err(|error| wrong(&old, error))?;
                }
            }
            replace(&file, &text)?;
            Ok(true)
        })
        .await
    }

    /// By a lock on a file, which the system lets go of when the process ends, however it ends.
    pub(super) fn lead(&self, until_gone: impl Send + 'static) -> watch::Receiver<bool> {
        let (sender, receiver) = watch::channel(false);
        let store = self.clone();
        tokio::spawn(async move {
            let _until_gone = until_gone;
            let held = loop {
                let store = store.clone();
                if let Ok(held) = blocking(move || store.lock("leader.lock", FlockOperation::NonBlockingLockExclusive)).await {
                    break held;
                }
                tokio::select! {
                    () = sender.closed() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            };
            sender.send_replace(true);
            sender.closed().await;
            drop(held);
        });
        receiver
    }

    fn lock(&self, name: &str, operation: FlockOperation) -> Result<File, StoreError> {
        let path = self.folder.join(name);
        let file = File::options().create(true).append(true).open(&path).map_err(|error| wrong(&path, error))?;
        flock(&file, operation).map_err(|error| wrong(&path, error.into()))?;
        Ok(file)
    }

    /// People edit the routes; the rest is ours.
    fn file(&self, path: &str) -> PathBuf {
        self.folder.join(if path == "routes" { "routes.toml".to_owned() } else { format!("{path}.json") })
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, StoreError> + Send + 'static) -> Result<T, StoreError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        // It is cancelled only when the runtime ends, and what panicked goes on panicking.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn read(file: &Path) -> Result<Option<Document>, StoreError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(Document { version: version(&text), text })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(file, error)),
    }
}

/// A file that people edit keeps no count of its changes; its text says which it is.
fn version(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    let first: [u8; 8] = std::array::from_fn(|at| digest[at]);
    u64::from_be_bytes(first).max(1)
}

/// The names in a folder, in order; none where there is no folder.
fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(folder, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| wrong(folder, error))?.file_name();
        let is_draft = Path::new(&name).extension().is_some_and(|ending| ending == "draft");
        names.extend(name.into_string().ok().filter(|_| !is_draft));
    }
    names.sort_unstable();
    Ok(names)
}

/// Whole or not at all.
fn replace(file: &Path, text: &str) -> Result<(), StoreError> {
    let draft = file.with_extension("draft");
    let write = || {
        fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
        fs::write(&draft, text)?;
        fs::rename(&draft, file)
    };
    write().map_err(|error| wrong(file, error))
}

fn wrong(path: &Path, why: io::Error) -> StoreError {
    StoreError::Folder { path: path.display().to_string(), why }
}

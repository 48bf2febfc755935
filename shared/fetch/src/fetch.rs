//! A version: listed, downloaded, held against its pins, locked and installed.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    Shelf, Source, Watch,
    download::download,
    error::FetchError,
    lock::{Lock, Locked, Pin},
    partial::Partial,
    store::{Listing, RemoteFile, Store},
};

/// What a fetch came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// The version's folder.
    pub folder: PathBuf,
    /// What is in it.
    pub locked: Locked,
    /// Whether it was fetched now; else it was there already.
    pub fetched: bool,
    /// Why `model.lock` could not be written, if so: the version is pinned for as long as the cache is kept.
    pub unlocked: Option<String>,
}

/// Brings a version to its shelf, at most `parallel` files at once. What is there already is not fetched again, and an interrupted fetch is resumed.
///
/// On an error the version that was there before is untouched.
pub async fn fetch(source: &Source, shelf: &Shelf, parallel: usize, watch: &dyn Watch) -> Result<Outcome, FetchError> {
    let waiting = shelf.clone();
    let held = tokio::task::spawn_blocking(move || waiting.lock()).await;
    let _held = held.map_err(|error| FetchError::disk("the cache of models cannot be locked")(io::Error::other(error)))??;
    let folder = shelf.version(source);
    // Another process may have fetched it meanwhile.
    if let Some(locked) = shelf.record(source).filter(|_| shelf.has(source)) {
        return Ok(Outcome { folder, locked, fetched: false, unlocked: None });
    }
    let lock = Lock::read(&shelf.lock_file())?;
    let pinned = lock.of(source).cloned().or_else(|| shelf.record(source));
    let store = Store::open(source, pinned.as_ref().and_then(|pinned| pinned.commit.as_deref()))?;
    let mut listing = store.list(source).await?;
    if let Some(pinned) = &pinned {
        only_pinned(source, pinned, &mut listing)?;
    }
    // From here on a hub is asked for the commit, and not for what its branch may have become meanwhile.
    let store = if listing.commit.is_some() { Store::open(source, listing.commit.as_deref())? } else { store };
    let draft = shelf.draft(source);
    let partial = Partial::take_up(draft.clone(), &source.address.to_string(), &listing)
        .map_err(FetchError::disk("the cache of models cannot be written"))?;
    let here = listing.files.iter().map(|file| partial.here(&file.name)).sum();
    watch.begins(listing.files.len(), listing.files.iter().filter_map(|file| file.bytes).sum(), here);
    let pins = Pins { source, lock: lock.of(source), record: pinned.as_ref() };
    let each = |file: &RemoteFile| {
        let (store, partial, pins, file) = (&store, &partial, &pins, file.clone());
        async move {
            let pin = download(store, &file, partial, watch).await?;
            pins.check(&file, &pin).inspect_err(|_| drop(fs::remove_file(partial.whole(&file.name))))?;
            Ok::<_, FetchError>((file.name, pin))
        }
    };
    let downloads: Vec<_> = listing.files.iter().map(each).collect();
    let files: BTreeMap<_, _> = stream::iter(downloads).buffer_unordered(parallel.max(1)).try_collect().await?;
    partial.finish().map_err(FetchError::disk("the cache of models cannot be written"))?;
    let locked = Locked {
        version: source.version.get(),
        url: source.address.to_string(),
        wanted: source.wanted(),
        commit: listing.commit.clone(),
        files,
    };
    let unlocked = write_lock(lock, source, &locked, shelf);
    shelf.install(source, &locked)?;
    Ok(Outcome { folder, locked, fetched: true, unlocked })
}

/// The same for a thread that waits for it.
pub fn fetch_blocking(source: &Source, shelf: &Shelf, parallel: usize, watch: &dyn Watch) -> Result<Outcome, FetchError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FetchError::disk("no runtime to fetch with"))?;
    runtime.block_on(fetch(source, shelf, parallel, watch))
}

/// A version that was fetched before has the files that it had then, whatever has come to its source since.
fn only_pinned(source: &Source, pinned: &Locked, listing: &mut Listing) -> Result<(), FetchError> {
    listing.files.retain(|file| pinned.files.contains_key(&file.name));
    let there = |name: &&String| listing.files.iter().any(|file| file.name == **name);
    match pinned.files.keys().find(|name| !there(name)) {
        Some(gone) => Err(FetchError::Missing { place: format!("{gone} of {}", source.address) }),
        None => Ok(()),
    }
}

/// Whatever says what a file has to be.
struct Pins<'a> {
    source: &'a Source,
    lock: Option<&'a Locked>,
    record: Option<&'a Locked>,
}

impl Pins<'_> {
    fn check(&self, file: &RemoteFile, found: &Pin) -> Result<(), FetchError> {
        let name = &file.name;
        let of = |locked: Option<&Locked>| locked.and_then(|locked| locked.files.get(name)).map(|pin| pin.sha256.clone());
        let wanted = [
            ("model.toml", self.source.pins.get(name).cloned(), "correct the source's sha256"),
            ("model.lock", of(self.lock), "remove the version's entry from model.lock"),
            ("the cache", of(self.record), "give the source another url or files, or clear the cache of models"),
            ("the hub's own listing", file.sha256.clone(), "try again"),
        ];
        for (pinned_by, expected, remedy) in wanted {
            if let Some(expected) = expected.filter(|expected| *expected != found.sha256) {
                let file = format!("{}/{name}", self.source.version);
                return Err(FetchError::Changed { file, pinned_by, expected, found: found.sha256.clone(), remedy });
            }
        }
        Ok(())
    }
}

fn write_lock(lock: Lock, source: &Source, locked: &Locked, shelf: &Shelf) -> Option<String> {
    if lock.of(source) == Some(locked) {
        return None;
    }
    lock.with(locked.clone()).write(&shelf.lock_file()).err().map(|error| error.to_string())
}

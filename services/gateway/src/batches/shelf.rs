//! The folder: `TENANT/files/ID.jsonl` with `ID.json` beside it, `TENANT/batches/ID.json`, and what belongs to one until it is over: `ID.lock`, by which it is found,
//! `ID.cancel` and `ID.input`. With an object store the [`contents`](super::contents) of files are there, and not in `ID.jsonl`; all the rest stays here.
//!
//! What has an `ID.json` is there; it is written last, whole and synced. Names from outside are looked up only if they have the form of ours.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use torchmesh_api::ids::TenantId;

use super::{batch::Batch, contents::Contents, file::FileRecord};

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    root: PathBuf,
    contents: Option<Contents>,
}

/// A batch that is this process's to run, until it is dropped; a process that dies gives it back.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "what holds the lock is the open file")] File);

impl Shelf {
    /// Makes the folder where it is not there.
    pub(super) fn open(root: &Path, contents: Option<Contents>) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.to_owned(), contents })
    }

    fn files(&self, tenant: &TenantId) -> PathBuf {
        self.root.join(tenant.as_str()).join("files")
    }

    fn batches(&self, tenant: &TenantId) -> PathBuf {
        self.root.join(tenant.as_str()).join("batches")
    }

    /// The object store that a file's bytes are in; `None`: they are in [`Self::content`].
    pub(super) fn store(&self, record: &FileRecord) -> io::Result<Option<&Contents>> {
        let missing = || io::Error::other(format!("{} is in an object store, and batches.store is not set", record.id));
        if record.stored { self.contents.as_ref().ok_or_else(missing).map(Some) } else { Ok(None) }
    }

    /// Where the bytes of a file are, if the folder has them.
    pub(super) fn content(&self, tenant: &TenantId, id: &str) -> PathBuf {
        self.files(tenant).join(format!("{id}.jsonl"))
    }

    /// Where the bytes of a file are that is not there yet.
    pub(super) fn draft(&self, tenant: &TenantId, id: &str) -> io::Result<PathBuf> {
        let folder = self.files(tenant);
        fs::create_dir_all(&folder)?;
        Ok(folder.join(format!("{id}.part")))
    }

    /// A draft becomes a file: its bytes are synced already. In an object store they are copied: then the draft is left for whoever made it to remove.
    pub(super) fn publish(&self, tenant: &TenantId, mut record: FileRecord) -> io::Result<FileRecord> {
        let (draft, content) = (self.draft(tenant, &record.id)?, self.content(tenant, &record.id));
        record.stored = self.contents.is_some();
        if let Some(contents) = &self.contents {
            contents.put(tenant, &record.id, &draft)?;
        } else {
            match fs::rename(&draft, &content) {
                // Whoever was killed in the middle has done that part.
                Err(error) if error.kind() == io::ErrorKind::NotFound && content.exists() => {}
                other => other?,
            }
        }
        write(&self.record(tenant, &record.id), &record)?;
        Ok(record)
    }

    fn record(&self, tenant: &TenantId, id: &str) -> PathBuf {
        self.files(tenant).join(format!("{id}.json"))
    }

    /// Where the lines of a batch can be read: in its file, or in what is fetched of that, once, for as long as the batch runs.
    ///
    /// Error: `NotFound` where the file is gone.
    pub(super) fn input(&self, tenant: &TenantId, batch: &Batch) -> io::Result<PathBuf> {
        let fetched = self.batches(tenant).join(format!("{}.input", batch.id));
        if fetched.exists() {
            return Ok(fetched);
        }
        let content = self.content(tenant, &batch.input_file_id);
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("{} is gone", batch.input_file_id));
        let record = self.file(tenant, &batch.input_file_id)?.ok_or_else(gone)?;
        match self.store(&record)? {
            Some(contents) => contents.fetch(tenant, &record.id, record.bytes, &fetched).map(|()| fetched),
            None if content.exists() => Ok(content),
            None => Err(gone()),
        }
    }

    /// A tenant's file.
    pub(super) fn file(&self, tenant: &TenantId, id: &str) -> io::Result<Option<FileRecord>> {
        if is_name("file-", id) { read(&self.record(tenant, id)) } else { Ok(None) }
    }

    /// A tenant's files, the newest first.
    pub(super) fn list_files(&self, tenant: &TenantId) -> io::Result<Vec<FileRecord>> {
        let mut all: Vec<FileRecord> = all(&self.files(tenant))?;
        all.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(all)
    }

    /// Removes a file: in the folder the record first, so that nothing half is found. An object goes before its record: whoever finds that again, because the store was
    /// away, can remove it again, and nothing stays there that nobody knows of.
    pub(super) fn remove_file(&self, tenant: &TenantId, record: &FileRecord) -> io::Result<()> {
        if let Some(contents) = self.store(record)? {
            contents.remove(tenant, &record.id)?;
        }
        remove(&self.record(tenant, &record.id))?;
        remove(&self.content(tenant, &record.id))
    }

    /// A tenant's batch.
    pub(super) fn batch(&self, tenant: &TenantId, id: &str) -> io::Result<Option<Batch>> {
        if is_name("batch_", id) { read(&self.batches(tenant).join(format!("{id}.json"))) } else { Ok(None) }
    }

    /// A tenant's batches, the newest first.
    pub(super) fn list_batches(&self, tenant: &TenantId) -> io::Result<Vec<Batch>> {
        let mut all: Vec<Batch> = all(&self.batches(tenant))?;
        all.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(all)
    }

    /// A new batch, which from here on is one of those that are [open](Self::open_batches).
    pub(super) fn begin_batch(&self, tenant: &TenantId, batch: &Batch) -> io::Result<()> {
        let folder = self.batches(tenant);
        fs::create_dir_all(&folder)?;
        // The lock first: a batch that nobody finds would be told to its caller and never run.
        File::create(folder.join(format!("{}.lock", batch.id)))?;
        self.put_batch(tenant, batch)
    }

    /// The names of a tenant's batches that are not over. However many are, only these are looked at again and again.
    pub(super) fn open_batches(&self, tenant: &TenantId) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.batches(tenant)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let locks = paths.filter(|path| path.extension().is_some_and(|end| end == "lock"));
        let names = locks.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
        Ok(names.filter(|name| is_name("batch_", name)).collect())
    }

    /// Puts a batch in the place of what was there of it.
    pub(super) fn put_batch(&self, tenant: &TenantId, batch: &Batch) -> io::Result<()> {
        write(&self.batches(tenant).join(format!("{}.json", batch.id)), batch)
    }

    /// Calls a batch off: whoever runs it sees it.
    pub(super) fn call_off(&self, tenant: &TenantId, id: &str) -> io::Result<()> {
        File::create(self.batches(tenant).join(format!("{id}.cancel"))).map(drop)
    }

    /// Whether a batch was called off.
    pub(super) fn is_called_off(&self, tenant: &TenantId, id: &str) -> bool {
        self.batches(tenant).join(format!("{id}.cancel")).exists()
    }

    /// The right to run a batch; `None` while another process has it, and when it is over.
    pub(super) fn lock(&self, tenant: &TenantId, id: &str) -> io::Result<Option<Lock>> {
        let file = match OpenOptions::new().append(true).open(self.batches(tenant).join(format!("{id}.lock"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Removes what only a batch that runs needs; its lock last, by which the rest is found again.
    pub(super) fn tidy(&self, tenant: &TenantId, batch: &Batch) {
        for answers in [&batch.output, &batch.error] {
            let _ = remove(&self.files(tenant).join(format!("{answers}.part")));
        }
        for end in ["input", "cancel", "lock"] {
            let _ = remove(&self.batches(tenant).join(format!("{}.{end}", batch.id)));
        }
    }

    /// Every tenant that has anything here.
    pub(super) fn tenants(&self) -> io::Result<Vec<TenantId>> {
        let entries = fs::read_dir(&self.root)?.filter_map(Result::ok);
        Ok(entries.filter_map(|entry| TenantId::parse(entry.file_name().to_str()?).ok()).collect())
    }

    /// Removes what is older than that: finished batches, files, and drafts that nobody goes on with. What cannot be removed stops nothing else.
    pub(super) fn sweep(&self, keep: Duration) -> io::Result<()> {
        let mut swept = Ok(());
        for tenant in self.tenants()? {
            for folder in [self.batches(&tenant), self.files(&tenant)] {
                let Ok(entries) = fs::read_dir(folder) else { continue };
                for entry in entries.filter_map(Result::ok) {
                    let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|at| at.elapsed().ok());
                    if age.is_some_and(|age| age > keep) {
                        swept = swept.and(self.sweep_away(&tenant, &entry.path()));
                    }
                }
            }
        }
        swept
    }

    /// What belongs to a file goes with its object: a draft's may be there, too, if whoever sent it was killed before there was a record.
    fn sweep_away(&self, tenant: &TenantId, path: &Path) -> io::Result<()> {
        let (id, end) = (path.file_stem().and_then(OsStr::to_str), path.extension().and_then(OsStr::to_str));
        if let (Some(contents), Some(id), Some("json" | "part")) = (&self.contents, id, end)
            && is_name("file-", id)
        {
            contents.remove(tenant, id)?;
        }
        remove(path)
    }
}

/// Whether a text has the form of our names.
fn is_name(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 24 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// At one stroke, and durably: whoever reads sees all of it or what was there before.
fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = File::create(&draft)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn all<T: DeserializeOwned>(folder: &Path) -> io::Result<Vec<T>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let records = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    // One may be removed meanwhile.
    records.filter_map(|path| read(&path).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::StreamExt as _;
    use object_store::{ObjectStore, memory::InMemory};
    use serde_json::json;
    use tokio::runtime::Handle;

    use super::*;

    const ID: &str = "file-abcdefghijklmnopqrstuvwx";

    #[test]
    fn only_names_of_our_form_are_looked_for() {
        assert!(is_name("file-", "file-abcdefghijklmnopqrstuvwx"));
        for other in ["file-", "file-../../../etc/passwd/xxxx", "batch_abcdefghijklmnopqrstuvwx", "file-abcdefghijklmnopqrstuvw/", ""] {
            assert!(!is_name("file-", other), "{other}");
        }
    }

    #[test]
    fn a_batch_is_run_by_one_and_then_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, tenant) = (Shelf::open(folder.path(), None).unwrap(), TenantId::parse("acme").unwrap());
        let batch = batch();
        let id = batch.id.as_str();
        shelf.begin_batch(&tenant, &batch).unwrap();
        assert_eq!(shelf.open_batches(&tenant).unwrap(), [id]);
        let first = shelf.lock(&tenant, id).unwrap().unwrap();
        assert!(shelf.lock(&tenant, id).unwrap().is_none());
        drop(first);
        assert!(shelf.lock(&tenant, id).unwrap().is_some());
        shelf.tidy(&tenant, &batch);
        assert!(shelf.lock(&tenant, id).unwrap().is_none() && shelf.open_batches(&tenant).unwrap().is_empty(), "it is over");
    }

    fn batch() -> Batch {
        let owner = json!({ "tenant": "acme", "credential": "test", "kind": "api_key", "scopes": "infer", "models": ["*"] });
        let batch = json!({
            "id": "batch_abcdefghijklmnopqrstuvwx", "endpoint": "/v1/embeddings", "input_file_id": ID, "metadata": null, "owner": owner, "status": "validating",
            "errors": [], "counts": { "total": 0, "completed": 0, "failed": 0 }, "output": "file-oooooooooooooooooooooooo", "error": "file-eeeeeeeeeeeeeeeeeeeeeeee",
            "created_at": 1, "in_progress_at": null, "ended_at": null, "cancelling_at": null,
        });
        serde_json::from_value(batch).unwrap()
    }

    fn record(bytes: u64) -> FileRecord {
        FileRecord { id: ID.into(), bytes, created_at: 7, filename: "x".into(), purpose: "batch".into(), stored: false }
    }

    #[test]
    fn a_file_is_there_when_its_record_is_and_gone_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, tenant) = (Shelf::open(folder.path(), None).unwrap(), TenantId::parse("acme").unwrap());
        fs::write(shelf.draft(&tenant, ID).unwrap(), "x").unwrap();
        assert_eq!(shelf.file(&tenant, ID).unwrap(), None);
        shelf.publish(&tenant, record(1)).unwrap();
        // Killed between the two steps, it is done again.
        shelf.publish(&tenant, record(1)).unwrap();
        assert_eq!(shelf.file(&tenant, ID).unwrap(), Some(record(1)));
        assert_eq!(shelf.file(&TenantId::parse("other").unwrap(), ID).unwrap(), None);
        assert_eq!(shelf.input(&tenant, &batch()).unwrap(), shelf.content(&tenant, ID));
        shelf.remove_file(&tenant, &record(1)).unwrap();
        assert_eq!((shelf.list_files(&tenant).unwrap().len(), shelf.content(&tenant, ID).exists()), (0, false));
        assert_eq!(shelf.input(&tenant, &batch()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    /// A shelf with an object store, and how many objects there are; on a thread that may wait.
    async fn stored(with: impl FnOnce(&Shelf, &TenantId, &dyn Fn() -> usize) + Send + 'static) {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (contents, control) = (Contents::of_test(Arc::clone(&store)), Handle::current());
        let work = move || {
            let folder = tempfile::tempdir().unwrap();
            let (shelf, tenant) = (Shelf::open(folder.path(), Some(contents)).unwrap(), TenantId::parse("acme").unwrap());
            with(&shelf, &tenant, &|| control.block_on(store.list(None).count()));
        };
        tokio::task::spawn_blocking(work).await.unwrap();
    }

    #[tokio::test]
    async fn a_stored_file_outlives_its_draft_and_is_fetched_once_for_its_batch() {
        stored(|shelf, tenant, objects| {
            let draft = shelf.draft(tenant, ID).unwrap();
            fs::write(&draft, "one\n").unwrap();
            // Killed after the object, or after the record, it is done again.
            for _ in 0..2 {
                assert!(shelf.publish(tenant, record(4)).unwrap().stored);
            }
            fs::remove_file(draft).unwrap();
            assert_eq!((objects(), shelf.content(tenant, ID).exists()), (1, false));
            shelf.begin_batch(tenant, &batch()).unwrap();
            let input = shelf.input(tenant, &batch()).unwrap();
            assert_eq!(fs::read_to_string(&input).unwrap(), "one\n");
            shelf.remove_file(tenant, &shelf.file(tenant, ID).unwrap().unwrap()).unwrap();
            assert_eq!((objects(), shelf.list_files(tenant).unwrap().len()), (0, 0));
            assert_eq!(shelf.input(tenant, &batch()).unwrap(), input, "who has fetched it goes on");
            shelf.tidy(tenant, &batch());
            assert!(!input.exists() && shelf.input(tenant, &batch()).is_err());
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_swept_goes_with_its_objects_and_files_from_before_the_store_stay_readable() {
        stored(|shelf, tenant, objects| {
            let other = "file-oooooooooooooooooooooooo";
            for id in [ID, other] {
                fs::write(shelf.draft(tenant, id).unwrap(), "x").unwrap();
                shelf.publish(tenant, FileRecord { id: id.into(), ..record(1) }).unwrap();
            }
            // Killed before there was a record of it.
            fs::remove_file(shelf.record(tenant, other)).unwrap();
            fs::remove_file(shelf.draft(tenant, ID).unwrap()).unwrap();
            shelf.sweep(Duration::from_secs(3600)).unwrap();
            assert_eq!(objects(), 2);
            shelf.sweep(Duration::ZERO).unwrap();
            assert_eq!((objects(), fs::read_dir(shelf.files(tenant)).unwrap().count()), (0, 0));
            fs::write(shelf.content(tenant, ID), "x").unwrap();
            let before = r#"{"id":"file-abcdefghijklmnopqrstuvwx","bytes":1,"created_at":7,"filename":"x","purpose":"batch"}"#;
            fs::write(shelf.record(tenant, ID), before).unwrap();
            let record = shelf.file(tenant, ID).unwrap().unwrap();
            assert!(shelf.store(&record).unwrap().is_none());
            assert_eq!(shelf.input(tenant, &batch()).unwrap(), shelf.content(tenant, ID));
        })
        .await;
    }

    #[test]
    fn a_file_in_a_store_that_is_not_set_any_more_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path(), None).unwrap();
        let told = shelf.store(&FileRecord { stored: true, ..record(1) }).unwrap_err().to_string();
        assert!(told.contains("batches.store"), "{told}");
    }
}

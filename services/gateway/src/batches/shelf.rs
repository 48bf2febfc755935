//! The folder: `TENANT/files/ID.jsonl` with `ID.json` beside it, `TENANT/batches/ID.json`, and what belongs to one until it is over: `ID.lock`, by which it is found, and
//! `ID.cancel`.
//!
//! What has an `ID.json` is there; it is written last, whole and synced. Names from outside are looked up only if they have the form of ours.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use torchmesh_api::ids::TenantId;

use super::{batch::Batch, file::FileRecord};

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Shelf(PathBuf);

/// A batch that is this process's to run, until it is dropped; a process that dies gives it back.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "what holds the lock is the open file")] File);

impl Shelf {
    /// Makes the folder where it is not there.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self(root.to_owned()))
    }

    fn files(&self, tenant: &TenantId) -> PathBuf {
        self.0.join(tenant.as_str()).join("files")
    }

    fn batches(&self, tenant: &TenantId) -> PathBuf {
        self.0.join(tenant.as_str()).join("batches")
    }

    /// Where the bytes of a file are.
    pub(super) fn content(&self, tenant: &TenantId, id: &str) -> PathBuf {
        self.files(tenant).join(format!("{id}.jsonl"))
    }

    /// Where the bytes of a file are that is not there yet.
    pub(super) fn draft(&self, tenant: &TenantId, id: &str) -> io::Result<PathBuf> {
        let folder = self.files(tenant);
        fs::create_dir_all(&folder)?;
        Ok(folder.join(format!("{id}.part")))
    }

    /// A draft becomes a file: its bytes are synced already.
    pub(super) fn publish(&self, tenant: &TenantId, record: &FileRecord) -> io::Result<()> {
        let (draft, content) = (self.draft(tenant, &record.id)?, self.content(tenant, &record.id));
        match fs::rename(&draft, &content) {
            // Whoever was killed in the middle has done that part.
            Err(error) if error.kind() == io::ErrorKind::NotFound && content.exists() => {}
            other => other?,
        }
        write(&self.files(tenant).join(format!("{}.json", record.id)), record)
    }

    /// A tenant's file.
    pub(super) fn file(&self, tenant: &TenantId, id: &str) -> io::Result<Option<FileRecord>> {
        if is_name("file-", id) { read(&self.files(tenant).join(format!("{id}.json"))) } else { Ok(None) }
    }

    /// A tenant's files, the newest first.
    pub(super) fn list_files(&self, tenant: &TenantId) -> io::Result<Vec<FileRecord>> {
        let mut all: Vec<FileRecord> = all(&self.files(tenant))?;
        all.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(all)
    }

    /// Removes a file; the record first, so that nothing half is found.
    pub(super) fn remove_file(&self, tenant: &TenantId, id: &str) -> io::Result<()> {
        fs::remove_file(self.files(tenant).join(format!("{id}.json")))?;
        remove(&self.content(tenant, id))
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

    /// What only a batch that runs needs.
    pub(super) fn tidy(&self, tenant: &TenantId, id: &str) {
        for end in ["lock", "cancel"] {
            let _ = remove(&self.batches(tenant).join(format!("{id}.{end}")));
        }
    }

    /// Every tenant that has anything here.
    pub(super) fn tenants(&self) -> io::Result<Vec<TenantId>> {
        let entries = fs::read_dir(&self.0)?.filter_map(Result::ok);
        Ok(entries.filter_map(|entry| TenantId::parse(entry.file_name().to_str()?).ok()).collect())
    }

    /// Removes what is older than that: finished batches, files, and drafts that nobody goes on with.
    pub(super) fn sweep(&self, keep: Duration) -> io::Result<()> {
        for tenant in self.tenants()? {
            for folder in [self.batches(&tenant), self.files(&tenant)] {
                let Ok(entries) = fs::read_dir(folder) else { continue };
                for entry in entries.filter_map(Result::ok) {
                    let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|at| at.elapsed().ok());
                    if age.is_some_and(|age| age > keep) {
                        remove(&entry.path())?;
                    }
                }
            }
        }
        Ok(())
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
    use super::*;

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
        let (shelf, tenant) = (Shelf::open(folder.path()).unwrap(), TenantId::parse("acme").unwrap());
        let id = "batch_abcdefghijklmnopqrstuvwx";
        fs::create_dir_all(shelf.batches(&tenant)).unwrap();
        File::create(shelf.batches(&tenant).join(format!("{id}.lock"))).unwrap();
        assert_eq!(shelf.open_batches(&tenant).unwrap(), [id]);
        let first = shelf.lock(&tenant, id).unwrap().unwrap();
        assert!(shelf.lock(&tenant, id).unwrap().is_none());
        drop(first);
        assert!(shelf.lock(&tenant, id).unwrap().is_some());
        shelf.tidy(&tenant, id);
        assert!(shelf.lock(&tenant, id).unwrap().is_none() && shelf.open_batches(&tenant).unwrap().is_empty(), "it is over");
    }

    #[test]
    fn a_file_is_there_when_its_record_is_and_gone_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (shelf, tenant) = (Shelf::open(folder.path()).unwrap(), TenantId::parse("acme").unwrap());
        let id = "file-abcdefghijklmnopqrstuvwx";
        fs::write(shelf.draft(&tenant, id).unwrap(), "x").unwrap();
        assert_eq!(shelf.file(&tenant, id).unwrap(), None);
        let record = FileRecord { id: id.into(), bytes: 1, created_at: 7, filename: "x".into(), purpose: "batch".into() };
        shelf.publish(&tenant, &record).unwrap();
        // Killed between the two steps, it is done again.
        shelf.publish(&tenant, &record).unwrap();
        assert_eq!(shelf.file(&tenant, id).unwrap().as_ref(), Some(&record));
        assert_eq!(shelf.file(&TenantId::parse("other").unwrap(), id).unwrap(), None);
        shelf.remove_file(&tenant, id).unwrap();
        assert_eq!((shelf.list_files(&tenant).unwrap().len(), shelf.content(&tenant, id).exists()), (0, false));
    }
}

//! `run.json`: which processes run and where they listen. And the lock that tells a running mesh from a file left behind.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Failure, IO, Result},
    home::{Home, replace},
};

/// Everything in `run.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunFile {
    /// The `meshctl` that runs the mesh.
    pub(crate) meshctl: Supervisor,
    /// Every instance by its name: the service's own name where there is one instance, `worker-1`, `worker-2` and so on where there are more.
    pub(crate) services: BTreeMap<String, Service>,
}

/// The `meshctl` that runs the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Supervisor {
    /// Its process.
    pub(crate) pid: u32,
    /// How far it is.
    pub(crate) state: State,
    /// Its version.
    pub(crate) version: String,
    /// When it started, in seconds since 1970.
    pub(crate) started_at: u64,
}

/// How far a mesh is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Not everything has been ready yet.
    Starting,
    /// Everything has been ready.
    Ready,
    /// It is being stopped.
    Stopping,
}

/// One instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    /// Its process; absent while it waits to be restarted.
    pub(crate) pid: Option<u32>,
    /// Where it listens: `main` and `admin`, each as `ip:port`. Empty until it listens.
    pub(crate) addresses: BTreeMap<String, String>,
    /// Whether it takes calls.
    pub(crate) ready: bool,
    /// When its process started, in seconds since 1970.
    pub(crate) started_at: u64,
    /// How often it was restarted.
    pub(crate) restarts: u32,
}

impl RunFile {
    /// What is in the home, if anything. A file that cannot be understood counts as absent: it is ours, and the next `up` replaces it.
    pub(crate) fn read(home: &Home) -> Result<Option<Self>> {
        let path = home.run_file();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::file("read", &path, &error)),
        }
    }

    /// Replaces the file.
    pub(crate) fn write(&self, home: &Home) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| Failure::new(IO, format!("run.json: {error}")))?;
        text.push('\n');
        replace(&home.run_file(), &text, 0o644)
    }

    /// The gateway's address, once it listens.
    pub(crate) fn gateway(&self) -> Option<&str> {
        self.services.get("gateway")?.addresses.get("main").map(String::as_str)
    }

    /// The address of the accounts, once they listen.
    pub(crate) fn accounts(&self) -> Option<String> {
        self.services.get("accounts")?.addresses.get("main").cloned()
    }

    /// The addresses of the routers that take calls.
    pub(crate) fn routers(&self) -> Vec<String> {
        let routers = self.services.iter().filter(|(name, service)| name.starts_with("router") && service.ready);
        routers.filter_map(|(_, service)| service.addresses.get("main").cloned()).collect()
    }
}

/// The lock of a home, held while the mesh runs. The kernel lets go of it when the process ends, whatever way it ends.
#[derive(Debug)]
pub(crate) struct MeshLock {
    _file: File,
}

impl MeshLock {
    /// Takes the lock; `None` when a mesh runs from this home.
    pub(crate) fn take(home: &Home) -> Result<Option<Self>> {
        let path = home.lock();
        let failed = |error: &std::io::Error| Failure::file("lock", &path, error);
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(|error| failed(&error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }

    /// Whether a mesh runs from this home.
    pub(crate) fn is_taken(home: &Home) -> Result<bool> {
        Ok(home.lock().exists() && Self::take(home)?.is_none())
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        (folder, home)
    }

    #[test]
    fn a_script_finds_pid_and_addresses_under_the_services_name() {
        let (_folder, home) = home();
        let addresses = BTreeMap::from([("main".to_owned(), "127.0.0.1:8080".to_owned())]);
        let gateway = Service { pid: Some(7), addresses, ready: true, ..Service::default() };
        let meshctl = Supervisor { pid: 6, state: State::Ready, version: "1".into(), started_at: 1 };
        let run = RunFile { meshctl, services: BTreeMap::from([("gateway".to_owned(), gateway)]) };
        run.write(&home).unwrap();
        let text = std::fs::read(home.run_file()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["services"]["gateway"]["pid"], 7);
        assert_eq!(json["services"]["gateway"]["addresses"]["main"], "127.0.0.1:8080");
        assert_eq!(json["meshctl"]["state"], "ready");
        assert_eq!(RunFile::read(&home).unwrap(), Some(run));
    }

    #[test]
    fn a_broken_file_counts_as_absent() {
        let (_folder, home) = home();
        assert_eq!(RunFile::read(&home).unwrap(), None);
        std::fs::write(home.run_file(), "{").unwrap();
        assert_eq!(RunFile::read(&home).unwrap(), None);
    }

    #[test]
    fn the_lock_is_free_again_when_its_holder_is_gone() {
        let (_folder, home) = home();
        assert!(!MeshLock::is_taken(&home).unwrap());
        let lock = MeshLock::take(&home).unwrap();
        assert!(lock.is_some() && MeshLock::is_taken(&home).unwrap());
        drop(lock);
        assert!(!MeshLock::is_taken(&home).unwrap());
    }
}

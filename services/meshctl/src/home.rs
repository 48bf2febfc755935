//! The home folder of a local mesh (`.torchmesh`): which file is where, and how a file is replaced.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::error::{Failure, Result};

/// The home folder. Every path it gives is absolute.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
    given: PathBuf,
}

impl Home {
    /// The home at `given`, which is relative to the working directory unless it is absolute. Nothing is created.
    pub(crate) fn at(given: &Path) -> Result<Self> {
        let root = std::path::absolute(given).map_err(|error| Failure::file("find", given, &error))?;
        Ok(Self { root, given: given.to_owned() })
    }

    /// Makes the folders that a mesh writes to.
    pub(crate) fn create(&self) -> Result<()> {
        for folder in [self.root.clone(), self.logs(), self.root.join("config"), self.root.join("announce"), self.models()] {
            fs::create_dir_all(&folder).map_err(|error| Failure::file("create", &folder, &error))?;
        }
        Ok(())
    }

    /// The home as the user wrote it, for lines that are meant to be pasted.
    pub(crate) fn shown(&self) -> &Path {
        &self.given
    }

    /// The development key.
    pub(crate) fn dev_key(&self) -> PathBuf {
        self.root.join("dev.key")
    }

    /// The keys that the gateway accepts.
    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys.toml")
    }

    /// Who is out there: written by `meshctl`, watched by the gateway and the router.
    pub(crate) fn discovery(&self) -> PathBuf {
        self.root.join("discovery.toml")
    }

    /// Which processes run, and where they listen.
    pub(crate) fn run_file(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// Held by the `meshctl` that runs the mesh, for as long as it lives.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("mesh.lock")
    }

    /// What the routers agree on: the routes and the rollouts.
    pub(crate) fn control(&self) -> PathBuf {
        self.root.join("control")
    }

    /// What the gateway writes down of calls: what they have used, and the audit log.
    pub(crate) fn metering(&self) -> PathBuf {
        self.root.join("metering")
    }

    /// The files and batches of calls that can wait.
    pub(crate) fn batches(&self) -> PathBuf {
        self.root.join("batches")
    }

    /// What the accounts keep.
    pub(crate) fn accounts(&self) -> PathBuf {
        self.root.join("accounts")
    }

    /// The token of whoever may do everything in the accounts.
    pub(crate) fn operator_token(&self) -> PathBuf {
        self.accounts().join("operator.token")
    }

    /// The token that the gateway shows to the accounts.
    pub(crate) fn gateway_token(&self) -> PathBuf {
        self.accounts().join("gateway.token")
    }

    /// What the accounts seal the secrets of webhooks with.
    pub(crate) fn webhook_keys(&self) -> PathBuf {
        self.accounts().join("webhook.keys")
    }

    /// What the gateway remembers of the accounts.
    pub(crate) fn accounts_snapshot(&self) -> PathBuf {
        self.accounts().join("snapshot")
    }

    /// The model repository.
    pub(crate) fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    /// The pipelines, where there are any.
    pub(crate) fn pipelines(&self) -> PathBuf {
        self.root.join("pipelines")
    }

    /// The folder of the logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The log of an instance.
    pub(crate) fn log(&self, instance: &str) -> PathBuf {
        self.logs().join(format!("{instance}.log"))
    }

    /// The settings that a service is started with.
    pub(crate) fn config(&self, service: &str) -> PathBuf {
        self.root.join("config").join(format!("{service}.toml"))
    }

    /// Where an instance writes its addresses once it listens.
    pub(crate) fn announce(&self, instance: &str) -> PathBuf {
        self.root.join("announce").join(format!("{instance}.json"))
    }
}

/// Replaces a file at one stroke: a reader sees the old text or the new one, never a part. `mode` is the file's permissions.
pub(crate) fn replace(path: &Path, text: &str, mode: u32) -> Result<()> {
    let draft = path.with_extension("draft");
    let write = || -> io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
        io::Write::write_all(&mut file, text.as_bytes())?;
        fs::rename(&draft, path)
    };
    write().map_err(|error| Failure::file("write", path, &error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_replaced_file_has_the_new_text_and_the_asked_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev.key");
        replace(&path, "old", 0o600).unwrap();
        replace(&path, "new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the draft stayed behind");
    }

    #[test]
    fn the_home_is_absolute_inside_and_as_written_outside() {
        let home = Home::at(Path::new(".torchmesh")).unwrap();
        assert!(home.dev_key().is_absolute());
        assert_eq!(home.shown(), Path::new(".torchmesh"));
    }
}

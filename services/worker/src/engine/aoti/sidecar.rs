//! What stands beside a package: where it runs, what it was made from, and which shapes its code was compiled for.
//!
//! The package's own metadata say too little: its code reads beyond its memory when it is given other shapes, and stops the process at an
//! instruction that the processor lacks. So a package without this file is not loaded.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{guard::Input, host::Host};
use crate::engine::Dtype;

/// The name of a compiled package in a version's folder.
pub(crate) const PACKAGE: &str = "model.pt2";
/// The form of the file that is written and read here.
pub(crate) const FORMAT: u32 = 1;

/// The contents of `model.pt2.json`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Sidecar {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// The libtorch that compiled it; another one does not run it.
    pub(crate) torch: String,
    /// The kind of processor.
    pub(crate) machine: String,
    /// The instructions that the code may contain.
    pub(crate) instructions: BTreeSet<String>,
    /// `cpu` or `cuda`.
    pub(crate) device: String,
    /// The manifest's `dtype` at the time.
    pub(crate) dtype: String,
    /// What it was made from.
    pub(crate) source: Source,
    /// The sha256 of the package, in hexadecimal digits.
    pub(crate) package: String,
    /// What its code takes, in order.
    pub(crate) inputs: Vec<Input>,
    /// How far its answers were from the source's.
    pub(crate) largest_difference: f32,
}

/// The artefact that a package was made from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Source {
    /// Its file name.
    pub(crate) file: String,
    /// Its sha256, in hexadecimal digits.
    pub(crate) sha256: String,
}

/// Why a package is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misfit {
    #[error("{file} is not beside it; `meshctl compile` makes both")]
    NoSidecar { file: String },
    #[error("{file} cannot be read: {problem}; `meshctl compile` makes it again")]
    Unreadable { file: String, problem: String },
    #[error("it was compiled with torch {theirs}, and this worker has {ours}; compile it again")]
    Torch { theirs: String, ours: String },
    #[error("it was compiled for {theirs}, and this is {ours}")]
    Machine { theirs: String, ours: String },
    #[error("it needs instructions that this processor lacks: {0}; compile it here, or with a lower --cpu")]
    Instructions(String),
    #[error("it was compiled for {theirs}, and the model runs on {ours}")]
    Device { theirs: String, ours: String },
    #[error("it was compiled with dtype = \"{theirs}\", and model.toml says \"{ours}\"; compile it again")]
    Dtype { theirs: String, ours: Dtype },
    #[error("it was made from another {0} than the one beside it; compile it again")]
    Source(String),
    #[error("it is not the file that {0} describes (half copied?); compile it again")]
    Damaged(String),
}

impl Sidecar {
    /// Where the sidecar of `package` is.
    pub(crate) fn path(package: &Path) -> PathBuf {
        let mut name = package.as_os_str().to_owned();
        name.push(".json");
        name.into()
    }

    /// Reads what stands beside `package`.
    pub(crate) fn read(package: &Path) -> Result<Self, Misfit> {
        let path = Self::path(package);
        let file = name(&path);
        let unreadable = |problem: String| Misfit::Unreadable { file: file.clone(), problem };
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Misfit::NoSidecar { file }),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let read: Self = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if read.format == FORMAT { Ok(read) } else { Err(unreadable(format!("its format is {}, not {FORMAT}", read.format))) }
    }

    /// Whether the package runs on `host`, for a model on `device` (`cpu` or `cuda`) with `dtype`.
    pub(crate) fn fits(&self, host: &Host, device: &str, dtype: Dtype) -> Result<(), Misfit> {
        if self.torch != host.torch {
            return Err(Misfit::Torch { theirs: self.torch.clone(), ours: host.torch.clone() });
        }
        if self.machine != host.machine {
            return Err(Misfit::Machine { theirs: self.machine.clone(), ours: host.machine.clone() });
        }
        let lacking: Vec<&str> = self.instructions.difference(&host.instructions).map(String::as_str).collect();
        if !lacking.is_empty() {
            return Err(Misfit::Instructions(lacking.join(", ")));
        }
        if self.device != device {
            return Err(Misfit::Device { theirs: self.device.clone(), ours: device.to_owned() });
        }
        if self.dtype != dtype.name() {
            return Err(Misfit::Dtype { theirs: self.dtype.clone(), ours: dtype });
        }
        Ok(())
    }

    /// Whether the package, and the source where it is there, are the files that this describes. Reads both.
    pub(crate) fn describes(&self, package: &Path) -> Result<(), Misfit> {
        let file = name(&Self::path(package));
        let sum = |path: &Path| sha256(path).map_err(|error| Misfit::Unreadable { file: name(path), problem: error.to_string() });
        if sum(package)? != self.package {
            return Err(Misfit::Damaged(file));
        }
        let source = package.with_file_name(&self.source.file);
        if source.is_file() && sum(&source)? != self.source.sha256 {
            return Err(Misfit::Source(self.source.file.clone()));
        }
        Ok(())
    }
}

/// A file's sha256 in hexadecimal digits.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}")))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

//! One file: from its server to the disk, as far as it is not there yet, and its hash on the way.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
    time::Duration,
};

use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

use crate::{
    Watch,
    error::FetchError,
    lock::Pin,
    partial::Partial,
    store::{RemoteFile, Store},
};

/// How often a file is begun again without a byte more of it; the pauses double from [`PAUSE`].
const STUMBLES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(250);

/// Brings the file, and gives its length and hash. A file that is there in full is only read.
pub(crate) async fn download(store: &Store, file: &RemoteFile, partial: &Partial, watch: &dyn Watch) -> Result<Pin, FetchError> {
    let disk = |error| FetchError::disk(format!("{} cannot be written to the cache of models", file.name))(error);
    let whole = partial.whole(&file.name);
    if whole.is_file() {
        return Part::open(&whole).map(Part::pin).map_err(disk);
    }
    let path = partial.part(&file.name);
    let mut part = Part::open(&path).map_err(disk)?;
    let mut stumbles = 0;
    loop {
        let before = part.length;
        match transfer(store, file, &mut part, watch).await {
            Ok(()) => break,
            Err(error) if error.is_passing() && stumbles < STUMBLES => {
                stumbles = if part.length > before { 0 } else { stumbles + 1 };
                watch.stumbles(&file.name, &error.to_string());
                tokio::time::sleep(PAUSE * 2_u32.pow(stumbles)).await;
            }
            Err(error) => return Err(error),
        }
    }
    part.file.sync_all().and_then(|()| fs::rename(&path, &whole)).map_err(disk)?;
    Ok(part.pin())
}

/// Asks once for what is missing, and takes what comes.
async fn transfer(store: &Store, file: &RemoteFile, part: &mut Part, watch: &dyn Watch) -> Result<(), FetchError> {
    let disk = |error| FetchError::disk(format!("{} cannot be written to the cache of models", file.name))(error);
    if file.bytes.is_some_and(|bytes| bytes < part.length) {
        part.begin_again().map_err(disk)?;
    }
    // A range that begins at the end is an error to every server.
    if file.bytes == Some(part.length) {
        return Ok(());
    }
    let mut reading = store.read(file, part.length).await?;
    if reading.from != part.length {
        part.begin_again().map_err(disk)?;
    }
    while let Some(bytes) = reading.stream.next().await {
        let bytes = bytes?;
        part.add(&bytes).map_err(disk)?;
        watch.moves(bytes.len() as u64);
    }
    match file.bytes {
        Some(bytes) if part.length < bytes => {
            let reason = format!("it broke off at {} of {bytes} bytes", part.length);
            Err(FetchError::Unreachable { place: file.name.clone(), reason })
        }
        Some(bytes) if part.length > bytes => {
            Err(FetchError::senseless(&file.name, format!("it is longer than the {bytes} bytes that were announced")))
        }
        _ => Ok(()),
    }
}

/// A file on its way, and the hash of what is there.
struct Part {
    file: File,
    length: u64,
    hasher: Sha256,
}

impl Part {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        let mut hasher = Sha256::new();
        let mut block = vec![0; 1 << 20];
        let mut length = 0;
        loop {
            let count = file.read(&mut block)?;
            if count == 0 {
                return Ok(Self { file, length, hasher });
            }
            hasher.update(&block[..count]);
            length += count as u64;
        }
    }

    fn begin_again(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        (self.length, self.hasher) = (0, Sha256::new());
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn pin(self) -> Pin {
        let sha256 = self.hasher.finalize().iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"));
        Pin { bytes: self.length, sha256 }
    }
}

use std::{fs, path::Path};

use super::manifest::hold;
use crate::{
    engine,
    manifest::{Manifest, Published},
};

/// The files of a directory as Hugging Face publishes it, in this order, with a zero byte between them.
const FILES: [&str; 6] =
    ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "preprocessor_config.json", "labels.json"];

/// A published directory: it makes a manifest that holds, or none; and its network has sizes that can be counted with.
pub fn published(files: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for the files");
    fs::create_dir(folder.path().join("1_Pooling")).expect("a folder in it");
    let mut parts = files.splitn(FILES.len(), |&byte| byte == 0);
    for (name, part) in FILES.iter().zip(&mut parts).filter(|(_, part)| !part.is_empty()) {
        fs::write(folder.path().join(name), part).expect("a file in it");
    }
    fs::write(folder.path().join("model.safetensors"), b"").expect("a file in it");
    read(folder.path());
}

fn read(folder: &Path) {
    let published = Published::read(folder);
    assert_eq!(published, Published::read(folder), "the same files say the same");
    for manifest in ["", "task = 'embed'", "task = 'classify-image'"].map(|text| Manifest::parse(text, &published)) {
        match manifest {
            Ok(manifest) => hold(&manifest),
            Err(problems) => assert!(!problems.to_string().is_empty()),
        }
    }
    if let Some((longest, first, labels)) = engine::sizes_of_network(&folder.join("config.json")) {
        assert!((1..=1 << 24).contains(&longest) && (0..1 << 24).contains(&first) && labels >= 1, "{longest} {first} {labels}");
    }
}

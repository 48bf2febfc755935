use std::collections::HashSet;

use crate::{
    executor::warmup,
    manifest::{Manifest, Published, Sources, TensorSpec},
};

/// A `model.toml`: what is taken is within its limits, says the same when it is written anew, and can be warmed up.
pub fn manifest(text: &[u8]) {
    let Ok(text) = str::from_utf8(text) else { return };
    let _ = Sources::parse(text);
    match Manifest::parse(text, &Published::default()) {
        Ok(manifest) => {
            hold(&manifest);
            let anew = text.parse::<toml::Table>().expect("it was read").to_string();
            assert_eq!(Manifest::parse(&anew, &Published::default()).as_ref(), Ok(&manifest), "written anew:\n{anew}");
        }
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
}

/// A manifest that an import wrote: it is taken, but for rows that no queue takes, which only a worker's settings tell.
pub fn imported(text: &str) {
    match Manifest::parse(text, &Published::default()) {
        Ok(manifest) => hold(&manifest),
        Err(problems) => assert!(problems.0.iter().all(|problem| problem.message.contains("queue.max_bytes")), "{problems}\n{text}"),
    }
}

/// What every manifest that was taken promises.
pub(super) fn hold(manifest: &Manifest) {
    assert!((1..=64).contains(&manifest.instances) && (1..=256).contains(&manifest.intra_op_threads));
    assert!(!manifest.artefact.contains(['/', '\\']) && !matches!(manifest.artefact.as_str(), "" | "." | ".."));
    assert!((1..=4096).contains(&manifest.batching.max_batch) && manifest.batching.length_ratio >= 1.0);
    assert!(manifest.queue.max_bytes >= 1024 && (1..=1_000_000).contains(&manifest.queue.max_rows));
    for specs in [&manifest.inputs, &manifest.outputs] {
        assert!(!specs.is_empty());
        let names: HashSet<_> = specs.iter().map(|spec| &spec.name).collect();
        assert_eq!(names.len(), specs.len(), "a name is there twice");
        for spec in specs {
            hold_spec(spec, manifest.batched);
        }
    }
    warm_up(manifest);
}

fn hold_spec(spec: &TensorSpec, batched: bool) {
    assert!(spec.shape.len() <= 8 && spec.shape.iter().all(|&dim| dim == -1 || dim > 0), "{spec}");
    assert!(!batched || spec.shape.first() == Some(&-1), "{spec}");
    let size = spec.datatype.element_size();
    assert!(spec.pad.as_ref().is_none_or(|pad| Some(pad.len()) == size && spec.shape.get(1) == Some(&-1)), "{spec}");
}

/// What is made up for a model's first calls is no more than may wait for it, whatever its shapes.
fn warm_up(manifest: &Manifest) {
    /// More than this is counted, and not made.
    const MADE: usize = 1 << 20;
    for (rows, length) in warmup::shapes(manifest).into_iter().take(4) {
        let counted = manifest.row_bytes(length).and_then(|bytes| bytes.checked_mul(rows)).expect("it can be counted");
        assert!(rows >= 1 && counted <= manifest.queue.max_bytes, "{rows} rows of {length} are {counted} bytes");
        if counted <= MADE {
            let made = warmup::inputs(manifest, rows, length);
            assert_eq!(made.iter().map(|input| input.data.len()).sum::<usize>(), counted);
        }
    }
}

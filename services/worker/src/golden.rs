//! Models and answers that tests compare with: what `make setup` fetched, and the references of `tests/golden`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::{engine::Engine, manifest::Pooling, tensor::Tensor, text::pooling::pool};

/// What the project promises: element by element, for vectors of length 1.
pub(crate) const TOLERANCE: f32 = 1e-4;

/// The reference for all-MiniLM-L6-v2.
#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) max_tokens: usize,
    pub(crate) cosine_of_first_two: f32,
    pub(crate) items: Vec<Item>,
}

#[derive(Deserialize)]
pub(crate) struct Item {
    pub(crate) text: String,
    pub(crate) input_ids: Vec<i64>,
    pub(crate) embedding: Vec<f32>,
}

pub(crate) fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../tests/golden/minilm.json")).unwrap()
}

/// Where `make setup` puts what it fetches.
pub(crate) fn fetched(item: &str) -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user = || var("XDG_CACHE_HOME").unwrap_or_else(|| var("HOME").unwrap().join(".cache")).join("torchmesh");
    let path = var("TORCHMESH_CACHE").unwrap_or_else(user).join("models").join(item);
    assert!(path.is_dir(), "{} is missing; `make setup` fetches it", path.display());
    path
}

/// `rows` as one batch with padding on the right, each value through `of`.
pub(crate) fn padded(rows: &[&[i64]], of: fn(i64) -> i64) -> Tensor {
    let longest = rows.iter().map(|row| row.len()).max().unwrap();
    let shape = [rows.len(), longest].map(|size| i64::try_from(size).unwrap());
    let fill = |row: &&[i64]| row.iter().map(move |&id| of(id)).chain(std::iter::repeat_n(0, longest - row.len())).collect::<Vec<_>>();
    Tensor::from_i64s(shape, &rows.iter().flat_map(fill).collect::<Vec<_>>())
}

/// The embeddings of `rows`, run as one batch.
fn embed(engine: &mut dyn Engine, rows: &[&[i64]]) -> Vec<Vec<f32>> {
    let mask = padded(rows, |_| 1);
    let hidden = engine.forward(&[padded(rows, |id| id), mask.clone()]).unwrap();
    let pooled = pool(&hidden[0], &mask, Pooling::Mean, true).unwrap();
    pooled.to_f32s().unwrap().chunks(384).map(<[f32]>::to_vec).collect()
}

pub(crate) fn largest_difference(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

/// Holds an engine of all-MiniLM-L6-v2 to the reference, each text alone and all of them in a mixed batch of 32.
pub(crate) fn embeds_as_transformers(engine: &mut dyn Engine) {
    embeds_within(engine, TOLERANCE);
}

/// The same with another tolerance.
pub(crate) fn embeds_within(engine: &mut dyn Engine, tolerance: f32) {
    let golden = golden();
    let mut worst = 0.0_f32;
    for item in &golden.items {
        let alone = embed(engine, &[&item.input_ids]);
        worst = worst.max(largest_difference(&alone[0], &item.embedding));
    }
    let mixed: Vec<&Item> = golden.items.iter().cycle().take(32).collect();
    let rows: Vec<&[i64]> = mixed.iter().map(|item| item.input_ids.as_slice()).collect();
    let together = embed(engine, &rows);
    for (item, embedding) in mixed.iter().zip(&together) {
        worst = worst.max(largest_difference(embedding, &item.embedding));
    }
    println!("largest difference from the reference: {worst:e}");
    assert!(worst < tolerance, "{worst}");
    let cosine: f32 = together[0].iter().zip(&together[1]).map(|(left, right)| left * right).sum();
    assert!((cosine - golden.cosine_of_first_two).abs() < tolerance, "{cosine}");
}

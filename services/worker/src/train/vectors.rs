//! The encoder's vectors of many texts.

use std::path::Path;

use super::data::Text;
use crate::{
    engine::{self, Device, Engine, EngineSpec},
    executor::Finish,
    manifest::{ClassifySettings, EmbedSettings, Manifest, PoolSettings, Published, Task, Truncation},
    tensor::Tensor,
    text::{self, Source, pooling},
};

/// Texts of one forward.
const BATCH: usize = 32;

/// One vector for each text, of its first `max_tokens` tokens, pooled as the directory says and scaled to length 1.
pub(super) fn of(encoder: &Path, texts: &[Text], max_tokens: usize) -> Result<Vec<Vec<f32>>, String> {
    let pool = PoolSettings { normalize: true, ..pool_of(encoder)? };
    let tokeniser = text::tokeniser(&[encoder], "tokenizer.json", max_tokens)?;
    let read = |(at, text): (usize, &Text)| {
        let made = tokeniser.encode(&Source::Text(text.text.clone()), at, Truncation::End, false).map_err(|error| error.message)?;
        Ok((at, made.windows.into_iter().next().map(|window| window.ids).unwrap_or_default()))
    };
    let mut tokens = texts.iter().enumerate().map(read).collect::<Result<Vec<(usize, Vec<u32>)>, String>>()?;
    let spec = EngineSpec {
        device: Device::Auto,
        hidden: Finish::Pool(pool).wants_hidden(),
        ..EngineSpec::new(encoder.join("model.safetensors"))
    };
    let mut engine = engine::load(&spec).map_err(|error| error.to_string())?;
    // Texts of one length together leave no padding.
    tokens.sort_by_key(|(at, ids)| (ids.len(), *at));
    let mut vectors = vec![Vec::new(); texts.len()];
    for batch in tokens.chunks(BATCH) {
        for ((at, _), vector) in batch.iter().zip(run(engine.as_mut(), batch, pool)?) {
            vectors[*at] = vector;
        }
    }
    Ok(vectors)
}

fn pool_of(encoder: &Path) -> Result<PoolSettings, String> {
    let manifest = Manifest::parse("", &Published::read(encoder)).map_err(|problems| format!("{}: {problems}", encoder.display()))?;
    match manifest.task {
        Task::Embed(EmbedSettings { pool, .. }) => Ok(pool),
        // A head that was trained before.
        Task::Classify(ClassifySettings { head: Some(head), .. }) => Ok(head.pool),
        task => Err(format!("{} is for \"{}\" and no sentence encoder", encoder.display(), task.word())),
    }
}

fn run(engine: &mut dyn Engine, batch: &[(usize, Vec<u32>)], pool: PoolSettings) -> Result<Vec<Vec<f32>>, String> {
    let longest = batch.iter().map(|(_, ids)| ids.len()).max().unwrap_or(0);
    let padded = |value: fn(u32) -> i64| {
        let row =
            |ids: &Vec<u32>| ids.iter().map(move |&id| value(id)).chain(std::iter::repeat_n(0, longest - ids.len())).collect::<Vec<_>>();
        let shape = [batch.len(), longest].map(|dim| i64::try_from(dim).unwrap_or(i64::MAX));
        Tensor::from_i64s(shape, &batch.iter().flat_map(|(_, ids)| row(ids)).collect::<Vec<_>>())
    };
    let mask = padded(|_| 1);
    let hidden = engine.forward(&[padded(i64::from), mask.clone()]).map_err(|error| error.to_string())?;
    let hidden = hidden.first().ok_or("the encoder answered nothing")?;
    let pooled = pooling::pool(hidden, &mask, pool.pooling, pool.normalize)?;
    let dim = usize::try_from(pooled.shape[1]).unwrap_or(0).max(1);
    Ok(pooled.to_f32s().unwrap_or_default().chunks_exact(dim).map(<[f32]>::to_vec).collect())
}

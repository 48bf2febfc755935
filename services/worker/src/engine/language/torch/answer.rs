//! What comes back from the device at a step's end.

use tch::{Device, TchError, Tensor};
use torchmesh_generation::{Logits, Span, Wants};

use super::{fused::Fused, int};
use crate::engine::tensors;

/// Which of some rows of logits are wanted, and how.
#[derive(Debug, Default)]
struct Wish {
    /// Of these the values.
    values: Vec<i64>,
    /// Of these the likeliest token among the first so many.
    likeliest: Vec<(i64, usize)>,
}

/// `logits` are of the rows that the spans want, in their order.
pub(super) fn answer(spans: &[Span<'_>], logits: Option<&Tensor>, fused: Option<&Fused>) -> Result<Logits, TchError> {
    let mut wish = Wish::default();
    let mut row = 0;
    for span in spans {
        let count = match span.wants {
            Wants::Nothing => 0,
            Wants::Last | Wants::Likeliest(_) => 1,
            Wants::Every => int(span.tokens.len()),
        };
        wish.add(span.wants, row..row + count);
        row += count;
    }
    logits.map_or_else(|| Ok(Logits::default()), |logits| grant(&wish, &logits.f_narrow(0, 0, row)?, fused))
}

/// `logits` are of the spans, of one token each, in their order, and may be of more.
pub(super) fn answer_of_rows(spans: &[Span<'_>], logits: &Tensor, fused: Option<&Fused>) -> Result<Logits, TchError> {
    let mut wish = Wish::default();
    for (row, span) in (0..).zip(spans) {
        wish.add(span.wants, row..row + 1);
    }
    grant(&wish, &logits.f_narrow(0, 0, int(spans.len()))?, fused)
}

fn grant(wish: &Wish, logits: &Tensor, fused: Option<&Fused>) -> Result<Logits, TchError> {
    let values = if wish.values.is_empty() { Vec::new() } else { values_of(&picked(logits, &wish.values)?)? };
    let mut likeliest = vec![None; wish.likeliest.len()];
    let mut among: Vec<usize> = wish.likeliest.iter().map(|(_, among)| *among).collect();
    among.sort_unstable();
    among.dedup();
    // One number in practice: answers of one model have the same words.
    for among in among {
        let (places, rows): (Vec<usize>, Vec<i64>) =
            wish.likeliest.iter().enumerate().filter(|(_, (_, of))| *of == among).map(|(place, (row, _))| (place, *row)).unzip();
        for (place, token) in places.into_iter().zip(chosen(&picked(logits, &rows)?, among, fused)?) {
            likeliest[place] = token;
        }
    }
    Ok(Logits { values, likeliest })
}

fn values_of(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let tensor = tensor.f_contiguous()?;
    Ok(tensors::values(&tensors::to_host(&tensor)?)?.to_vec())
}

impl Wish {
    fn add(&mut self, wants: Wants, rows: std::ops::Range<i64>) {
        match wants {
            Wants::Nothing => {}
            Wants::Last | Wants::Every => self.values.extend(rows),
            Wants::Likeliest(among) => self.likeliest.extend(rows.map(|row| (row, among))),
        }
    }
}

/// The rows of those numbers, which rise.
fn picked(logits: &Tensor, rows: &[i64]) -> Result<Tensor, TchError> {
    if logits.size().first() == Some(&int(rows.len())) {
        return Ok(logits.shallow_clone());
    }
    logits.f_index_select(0, &Tensor::f_from_slice(rows)?.f_to(logits.device())?)
}

/// Of each row the likeliest of the first so many tokens; `None` where no logit is a finite number.
fn chosen(logits: &Tensor, among: usize, fused: Option<&Fused>) -> Result<Vec<Option<u32>>, TchError> {
    if let Some(fused) = fused {
        let tokens = Vec::<i32>::try_from(&tensors::to_host(&fused.choose(logits, among)?)?)?;
        return Ok(tokens.into_iter().map(|token| u32::try_from(token).ok()).collect());
    }
    let none = f64::NEG_INFINITY;
    let known = logits.f_narrow(1, 0, int(among).min(logits.size()[1]))?.f_nan_to_num(none, none, none)?;
    let (most, tokens) = known.f_max_dim(1, false)?;
    let most = most.f_to(Device::Cpu)?;
    let tokens = Vec::<i64>::try_from(&tokens.f_to(Device::Cpu)?)?;
    let finite = |(most, token): (&f32, i64)| if most.is_finite() { u32::try_from(token).ok() } else { None };
    Ok(tensors::values(&most)?.iter().zip(tokens).map(finite).collect())
}

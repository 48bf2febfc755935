//! `Explain`: which tokens of a text speak for a label.

use torchmesh_api::{
    error::ApiError,
    text::v1::{ExplainMethod, ExplainRequest, ExplainResponse, TokenAttribution},
    usage::Figures,
};

use super::{TextCall, forward::floats, invalid, wire};
use crate::{
    admission::Part,
    engine::Attribution,
    manifest::{ClassifySettings, Task},
    models::shown,
    text::{Source, Window, characters::Characters, scores},
};

/// Steps of the integration when the caller does not say.
const STEPS: usize = 32;
/// The most steps.
const MOST_STEPS: usize = 512;
/// Tokens of one part of an explanation, all steps together: what lies between a part's forward and its gradient takes memory, and other calls wait
/// for it.
const PART_TOKENS: usize = 512;

pub(super) async fn run(call: TextCall<'_>, request: ExplainRequest) -> Result<ExplainResponse, ApiError> {
    let Task::Classify(settings) = &call.serving.manifest.task else { return Err(call.unfit("explain labels")) };
    let method = method(request.method, call.serving.differentiates)?;
    let steps = match usize::try_from(request.steps) {
        Ok(0) => STEPS,
        Ok(steps) if steps <= MOST_STEPS => steps,
        _ => return Err(invalid(format!("steps is {}; send 1 to {MOST_STEPS}, or 0 for {STEPS}", request.steps))),
    };
    if request.text.is_empty() {
        return Err(invalid("text is empty; send one text"));
    }
    let truncation = call.truncation_of_one(request.truncation)?;
    let tokenised = call.tokenise(vec![Source::Text(request.text.clone())], truncation, true).await?.swap_remove(0);
    call.spending.count(Figures { items: 1, ..Figures::default() });
    let window = &tokenised.windows[0];
    let explained = match method {
        ExplainMethod::Occlusion => call.occlude(window, settings, &request.label).await?,
        _ => call.integrate(window, settings, &request.label, steps).await?,
    };
    Ok(ExplainResponse {
        model: call.model_name(),
        model_version: call.model_version(),
        id: request.id,
        label: call.serving.manifest.task.label(explained.label),
        score: explained.score,
        logit: explained.logit,
        baseline_logit: explained.baseline_logit,
        method: method.into(),
        convergence_delta: explained.convergence_delta(method),
        steps: wire(explained.steps),
        tokens: tokens(&call, &request.text, window, &explained.attributions),
        truncated: tokenised.truncated,
    })
}

/// What is known of one label.
struct Explained {
    label: usize,
    score: f32,
    logit: f32,
    baseline_logit: f32,
    steps: usize,
    /// For each token.
    attributions: Vec<f32>,
}

impl Explained {
    fn convergence_delta(&self, method: ExplainMethod) -> f32 {
        let sum: f64 = self.attributions.iter().copied().map(f64::from).sum();
        if method == ExplainMethod::Occlusion { 0.0 } else { (sum - f64::from(self.logit - self.baseline_logit)) as f32 }
    }
}

fn method(asked: i32, differentiates: bool) -> Result<ExplainMethod, ApiError> {
    match ExplainMethod::try_from(asked) {
        Ok(ExplainMethod::Unspecified | ExplainMethod::IntegratedGradients) if differentiates => Ok(ExplainMethod::IntegratedGradients),
        Ok(ExplainMethod::Unspecified | ExplainMethod::Occlusion) => Ok(ExplainMethod::Occlusion),
        Ok(ExplainMethod::IntegratedGradients) => {
            Err(invalid("method is 1 (integrated gradients), and this model's engine cannot differentiate; send 2 (occlusion)"))
        }
        Err(_) => Err(invalid(format!("method is {asked}; send 0 (the best there is), 1 (integrated gradients) or 2 (occlusion)"))),
    }
}

impl TextCall<'_> {
    /// How much the label's logit falls when a token is masked.
    async fn occlude(&self, window: &Window, settings: &ClassifySettings, label: &str) -> Result<Explained, ApiError> {
        let tokeniser = &self.text.tokeniser;
        let hole = tokeniser.mask().or(tokeniser.unknown()).unwrap_or(tokeniser.padding());
        let own: Vec<usize> = (0..window.ids.len()).filter(|&at| !window.places[at].special).collect();
        let without = |at: &usize| {
            let mut masked = window.clone();
            masked.ids[*at] = hole;
            masked
        };
        let windows: Vec<Window> = std::iter::once(window.clone()).chain(own.iter().map(without)).collect();
        let logits = self.logits(&windows).await?;
        let (label, score) = self.chosen(&logits[0], settings, label)?;
        let mut attributions = vec![0.0; window.ids.len()];
        for (at, masked) in own.iter().zip(&logits[1..]) {
            attributions[*at] = logits[0][label] - masked[label];
        }
        Ok(Explained { label, score, logit: logits[0][label], baseline_logit: 0.0, steps: own.len(), attributions })
    }

    /// Integrated gradients from a text of padding between the same special tokens.
    async fn integrate(&self, window: &Window, settings: &ClassifySettings, label: &str, steps: usize) -> Result<Explained, ApiError> {
        let padding = self.text.tokeniser.padding();
        let mut empty = window.clone();
        empty.ids.iter_mut().zip(&window.places).filter(|(_, place)| !place.special).for_each(|(id, _)| *id = padding);
        let baseline: Vec<i64> = empty.ids.iter().copied().map(i64::from).collect();
        let logits = self.logits(&[window.clone(), empty]).await?;
        let (label, score) = self.chosen(&logits[0], settings, label)?;
        let at_once = (PART_TOKENS / window.ids.len().max(1)).clamp(1, steps);
        let part = |from: usize| {
            let along = Attribution { baseline: baseline.clone(), label, steps: from..(from + at_once).min(steps), of: steps };
            Part { shape: Part::EXPLAINED.into(), attribution: Some(Box::new(along)), ..self.part(window) }
        };
        let answered = self.submit((0..steps).step_by(at_once).map(part).collect()).await?;
        let mut sums = vec![0.0_f64; window.ids.len()];
        for values in answered.iter().filter_map(|answered| answered.outputs.first()).map(floats) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value));
        }
        let attributions = sums.into_iter().map(|sum| sum as f32).collect();
        Ok(Explained { label, score, logit: logits[0][label], baseline_logit: logits[1][label], steps, attributions })
    }

    async fn logits(&self, windows: &[Window]) -> Result<Vec<Vec<f32>>, ApiError> {
        let answered = self.submit(windows.iter().map(|window| self.part(window)).collect()).await?;
        Ok(answered.iter().map(|answered| answered.outputs.first().map(floats).unwrap_or_default()).collect())
    }

    /// The label that was asked for, or the one with the highest score, and its score.
    fn chosen(&self, logits: &[f32], settings: &ClassifySettings, label: &str) -> Result<(usize, f32), ApiError> {
        let scores = scores::scores(logits, settings.function);
        let task = &self.serving.manifest.task;
        let found = if label.is_empty() {
            scores::highest(&scores, 1).first().copied()
        } else {
            (0..scores.len()).find(|&index| task.label(index) == label)
        };
        let known = || (0..scores.len().min(20)).map(|index| task.label(index)).collect::<Vec<_>>().join(", ");
        let index =
            found.ok_or_else(|| invalid(format!("label \"{}\" is not a label of this model; it has: {}", shown(label), known())))?;
        Ok((index, scores[index]))
    }
}

fn tokens(call: &TextCall<'_>, text: &str, window: &Window, attributions: &[f32]) -> Vec<TokenAttribution> {
    let characters = Characters::of(text);
    let token = |((place, &id), &attribution): ((&crate::text::Place, &u32), &f32)| {
        let slice = text.get(place.start..place.end).unwrap_or_default();
        TokenAttribution {
            token: if place.special { call.text.tokeniser.token(id) } else { slice.to_owned() },
            attribution,
            special: place.special,
            start_byte: wire(place.start),
            end_byte: wire(place.end),
            start_char: wire(characters.before(place.start)),
            end_char: wire(characters.before(place.end)),
        }
    };
    window.places.iter().zip(&window.ids).zip(attributions).map(token).collect()
}

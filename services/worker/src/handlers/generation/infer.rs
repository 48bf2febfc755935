//! Language models by the Open Inference Protocol: `text_input` goes in and `text_output` comes out, whole or, on a stream, piece by piece. Settings are
//! request parameters, as Triton's backends for language models name them.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tonic::{Response, Status};
use torchmesh_api::{
    error::ApiError,
    inference::{
        InferParameter, ModelInferRequest, ModelInferResponse, infer_parameter::ParameterChoice, model_infer_response::InferOutputTensor,
    },
    tally::parameters,
    text::v1::{GenerateRequest, GenerateResponse, GenerationSettings},
};

use super::{CallInfo, Front, generate, invalid, used};
use crate::{
    handlers::parameters::{large, number, whole},
    infer::{self, Decoded, decode},
    models::{Model, shown},
};

/// The answer as one text.
pub(in crate::handlers) async fn infer(
    front: &Front,
    model: Arc<Model>,
    request: ModelInferRequest,
    call: CallInfo,
) -> Result<Response<ModelInferResponse>, ApiError> {
    let call = wished(call, &request)?;
    let (blank, asked) = read(&model, request)?;
    let (mut read, told) = generate::begin(front, Arc::clone(&model), call, asked).await?;
    let (mut told, mut text) = (Box::pin(told), String::new());
    while let Some(message) = told.next().await {
        let message = message.map_err(ApiError::from)?;
        text.push_str(&message.text);
        if let Some(usage) = message.usage {
            (read.cached_tokens, read.completion_tokens) = (usage.cached_tokens.into(), usage.completion_tokens.into());
        }
    }
    Ok(used(with_text(&blank, &text), read, &model))
}

/// The answer piece by piece; the last message has no text.
pub(in crate::handlers) async fn stream(
    front: &Front,
    model: Arc<Model>,
    request: ModelInferRequest,
    call: CallInfo,
) -> Result<Pin<Box<dyn Stream<Item = Result<ModelInferResponse, Status>> + Send>>, ApiError> {
    let call = wished(call, &request)?;
    let (blank, asked) = read(&model, request)?;
    let (read, told) = generate::begin(front, model, call, asked).await?;
    let mut untold = Untold { prompt: read.prompt_tokens, written: 0 };
    Ok(Box::pin(told.filter_map(move |message| {
        let told = message.map(|message: GenerateResponse| {
            untold.written += message.tokens.len() as u64;
            (!message.text.is_empty()).then(|| untold.tell(with_text(&blank, &message.text)))
        });
        std::future::ready(told.transpose())
    })))
}

/// What was read and written since the last answer, in tokens.
struct Untold {
    prompt: u64,
    written: u64,
}

impl Untold {
    /// The answer that tells it, by its parameters.
    fn tell(&mut self, mut answer: ModelInferResponse) -> ModelInferResponse {
        let figures = [(parameters::PROMPT_TOKENS, &mut self.prompt), (parameters::COMPLETION_TOKENS, &mut self.written)];
        for (name, figure) in figures {
            let figure = i64::try_from(std::mem::take(figure)).unwrap_or(i64::MAX);
            if figure > 0 {
                let told = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(figure)) };
                answer.parameters.insert(name.to_owned(), told);
            }
        }
        answer
    }
}

/// The call with what the request's parameters say of its urgency.
fn wished(mut call: CallInfo, request: &ModelInferRequest) -> Result<CallInfo, ApiError> {
    let wishes = infer::wishes(request)?;
    call.caller = call.caller.asking(wishes.priority);
    if let Some(timeout) = wishes.timeout {
        let deadline = Instant::now() + timeout;
        call.deadline = Some(call.deadline.map_or(deadline, |sooner| sooner.min(deadline)));
    }
    Ok(call)
}

fn with_text(blank: &ModelInferResponse, text: &str) -> ModelInferResponse {
    let mut element = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    element.extend_from_slice(text.as_bytes());
    ModelInferResponse { raw_output_contents: vec![Bytes::from(element)], ..blank.clone() }
}

/// What is asked, and the answer but for its text.
fn read(model: &Model, request: ModelInferRequest) -> Result<(ModelInferResponse, GenerateRequest), ApiError> {
    let serving = model.serving()?;
    let settings = settings(&request.parameters)?;
    let Decoded { part, id, .. } = decode(request, serving)?;
    // It was checked to be one element, with its length in front.
    let prompt = part.inputs.first().and_then(|input| input.data.get(4..)).unwrap_or_default();
    let prompt = String::from_utf8(prompt.to_vec()).map_err(|_| invalid("input \"text_input\": is not UTF-8"))?;
    if prompt.is_empty() {
        return Err(invalid("input \"text_input\": is empty; send a text"));
    }
    let outputs = serving.outputs.iter().map(|spec| InferOutputTensor {
        name: spec.name.clone(),
        datatype: spec.datatype.name().to_owned(),
        shape: spec.shape.clone(),
        ..Default::default()
    });
    let blank = ModelInferResponse {
        model_name: model.name.as_str().to_owned(),
        model_version: model.version_text.clone(),
        id: id.clone(),
        outputs: outputs.collect(),
        ..Default::default()
    };
    Ok((blank, GenerateRequest { id, prompt, settings: Some(settings), ..Default::default() }))
}

fn settings(parameters: &HashMap<String, InferParameter>) -> Result<GenerationSettings, ApiError> {
    let mut settings = GenerationSettings::default();
    for (name, value) in parameters {
        let Some(choice) = &value.parameter_choice else { continue };
        let wrong = |expected: &str| invalid(format!("parameters[{}]: send {expected}", shown(name)));
        let number = || number(choice).map(|value| value as f32).ok_or_else(|| wrong("a number"));
        let whole = || whole(choice).ok_or_else(|| wrong("a whole number from 0 to 4294967295"));
        match name.as_str() {
            "max_tokens" => settings.max_tokens = Some(whole()?),
            "temperature" => settings.temperature = Some(number()?),
            "top_k" => settings.top_k = Some(whole()?),
            "top_p" => settings.top_p = Some(number()?),
            "min_p" => settings.min_p = Some(number()?),
            "repetition_penalty" => settings.repetition_penalty = Some(number()?),
            "frequency_penalty" => settings.frequency_penalty = Some(number()?),
            "presence_penalty" => settings.presence_penalty = Some(number()?),
            "seed" => settings.seed = Some(large(choice).ok_or_else(|| wrong("a whole number from 0"))?),
            "stop" => match choice {
                ParameterChoice::StringParam(text) => settings.stop = vec![text.clone()],
                _ => return Err(wrong("a text")),
            },
            "ignore_eos" => match choice {
                ParameterChoice::BoolParam(ignore) => settings.ignore_end = *ignore,
                _ => return Err(wrong("true or false")),
            },
            // What concerns the call and not the text is read elsewhere, or is none of ours.
            _ => {}
        }
    }
    Ok(settings)
}

//! `POST /v2/models/{model}/generate` and `/generate_stream`, as Triton's generate extension has them: a text in, a text out.

use axum::{
    Json,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt as _;
use serde::{Serialize, de::MapAccess};
use serde_json::json;
use torchmesh_api::{
    error::ApiError,
    ids::ModelName,
    text::v1::{GenerateRequest, GenerateResponse},
};
use torchmesh_layers::call::ServedModel;

use super::{Named, render};
use crate::{
    caller::Caller,
    generation::{
        Fields, GENERATE, Pieces, Refused, Settings, begin,
        events::{self, Form, Written},
        fields::{Object, take},
        read,
    },
    mesh::Mesh,
};

/// The fields as they are sent: the settings in `parameters`, or beside the text.
#[derive(Debug, Default)]
pub(crate) struct Question {
    text_input: Option<String>,
    id: Option<String>,
    settings: Settings,
}

impl Fields for Question {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        if name == "parameters" {
            if let Some(Object(Parameters(settings))) = map.next_value()? {
                self.settings = settings;
            }
            return Ok(true);
        }
        if self.settings.take(name, map)? {
            return Ok(true);
        }
        take!(self, name, map, text_input, id)
    }
}

#[derive(Debug, Default)]
struct Parameters(Settings);

impl Fields for Parameters {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        self.0.take(name, map)
    }
}

impl Question {
    fn check(self, named: Named) -> Result<GenerateRequest, Refused> {
        let prompt = self.text_input.filter(|text| !text.is_empty());
        let prompt = prompt.ok_or_else(|| Refused::field("text_input", "is missing or empty; send a text"))?;
        if self.settings.answers() != 1 {
            return Err(Refused::field("n", "this path gives one answer; leave it out, or send the request to /v1/completions"));
        }
        let settings = Some(self.settings.check()?);
        let id = self.id.unwrap_or_default();
        Ok(GenerateRequest { model: named.model, model_version: named.version, id, prompt, settings, ..Default::default() })
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    model_name: &'a str,
    model_version: &'a str,
    text_output: &'a str,
}

impl<'a> Answer<'a> {
    fn of(piece: &'a GenerateResponse) -> Self {
        let GenerateResponse { id, model, model_version, text, .. } = piece;
        Self { id, model_name: model, model_version, text_output: text }
    }
}

/// The whole text.
pub(super) async fn whole(
    State(mesh): State<Mesh>,
    caller: Caller,
    Path(named): Path<Named>,
    max_body: usize,
    request: Request,
) -> Response {
    let answered = async {
        let mut pieces = ask(&mesh, &caller, named, max_body, request).await?;
        let mut whole = GenerateResponse::default();
        while let Some(piece) = pieces.next().await.transpose()? {
            let text = whole.text + &piece.text;
            whole = GenerateResponse { text, ..piece };
        }
        let response = Json(Answer::of(&whole)).into_response();
        Ok::<_, Refused>(served(&whole.model, response))
    };
    answered.await.unwrap_or_else(|refused| render(&refused.error))
}

/// The text as it is written.
pub(super) async fn stream(
    State(mesh): State<Mesh>,
    caller: Caller,
    Path(named): Path<Named>,
    max_body: usize,
    request: Request,
) -> Response {
    let answered = async {
        let mut pieces = ask(&mesh, &caller, named, max_body, request).await?;
        let first = begin(&mut pieces).await?;
        let model = first.as_ref().map(|first| first.model.clone()).unwrap_or_default();
        Ok::<_, Refused>(served(&model, events::answer(first, pieces, Texts)))
    };
    answered.await.unwrap_or_else(|refused| render(&refused.error))
}

async fn ask(mesh: &Mesh, caller: &Caller, named: Named, max_body: usize, request: Request) -> Result<Pieces<GenerateResponse>, Refused> {
    let question: Question = read(request, max_body).await?;
    Ok(mesh.stream(caller, GENERATE, &question.check(named)?).boxed())
}

fn served(model: &str, mut response: Response) -> Response {
    if let Ok(model) = ModelName::parse(model) {
        response.extensions_mut().insert(ServedModel(model));
    }
    response
}

/// Events of the form of a whole answer, each with the next piece of the text.
struct Texts;

impl Form<GenerateResponse> for Texts {
    fn piece(&mut self, piece: GenerateResponse, written: &mut Written) {
        if !piece.text.is_empty() {
            written.event(&Answer::of(&piece));
        }
    }

    fn end(&mut self, _: &mut Written) {}

    fn error(&mut self, error: ApiError, written: &mut Written) {
        written.event(&json!({ "error": error.message }));
    }
}

//! `meshctl see` and `listen`: what the models of images and of sound say.

use std::{io::Read as _, path::Path};

use serde::Serialize;
use torchmesh_api::{
    audio::v1::{DetectVoiceRequest, DetectVoiceResponse, VoiceOptions, audio_service_client::AudioServiceClient},
    inference::{ModelMetadataRequest, grpc_inference_service_client::GrpcInferenceServiceClient},
    vision::v1::{ClassifyRequest, DetectRequest, Detection, Label, vision_service_client::VisionServiceClient},
};

use crate::{
    cli::{ListenArgs, SeeArgs},
    client::{Caller, MAX_ANSWER},
    error::{Failure, Result},
    home::Home,
    output::{Screen, short, table},
};

/// How much of a file's name a table shows, in characters.
const SHOWN: usize = 48;

/// What was seen, for scripts.
#[derive(Debug, Serialize)]
struct Seen<T> {
    model: String,
    model_version: String,
    images: Vec<Image<T>>,
}

#[derive(Debug, Serialize)]
struct Image<T> {
    file: String,
    width: u32,
    height: u32,
    #[serde(flatten)]
    found: T,
}

#[derive(Debug, Serialize)]
struct Labels {
    labels: Vec<Scored>,
}

#[derive(Debug, Serialize)]
struct Boxes {
    detections: Vec<Boxed>,
}

#[derive(Debug, Serialize)]
struct Scored {
    label: String,
    index: u32,
    score: f32,
}

#[derive(Debug, Serialize)]
struct Boxed {
    #[serde(flatten)]
    what: Scored,
    x_min: f32,
    y_min: f32,
    x_max: f32,
    y_max: f32,
}

/// What was heard, for scripts.
#[derive(Debug, Serialize)]
struct Heard {
    model: String,
    model_version: String,
    file: String,
    duration_s: f64,
    sample_rate: u32,
    segments: Vec<Segment>,
}

#[derive(Debug, Serialize)]
struct Segment {
    start_s: f64,
    end_s: f64,
    start_sample: u64,
    end_sample: u64,
}

/// Labels or boxes, whichever the model finds.
pub(crate) async fn see(args: &SeeArgs, home: &Home, screen: &Screen) -> Result<()> {
    let images = args.files.iter().map(|file| Ok(read(file)?.into())).collect::<Result<Vec<_>>>()?;
    let caller = Caller::connect(&args.client, home).await?;
    let mut client = VisionServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
    let (model, model_version) = (args.name.clone(), args.version.clone());
    if task(&caller, args).await? == "detect-objects" {
        let request =
            DetectRequest { model, model_version, images, score_threshold: args.min_score, max_detections: args.top, ..Default::default() };
        let answer = client.detect(caller.request(request)).await.map_err(Failure::from)?.into_inner();
        let images = args.files.iter().zip(answer.images);
        let boxes = |detections: Vec<Detection>| Boxes { detections: detections.into_iter().map(boxed).collect() };
        let images = images.map(|(file, one)| image(file, one.width, one.height, boxes(one.detections))).collect();
        let seen = Seen { model: answer.model, model_version: answer.model_version, images };
        return screen.show(&seen, || boxes_as_text(&seen));
    }
    let request = ClassifyRequest { model, model_version, images, top_k: args.top, min_score: args.min_score, ..Default::default() };
    let answer = client.classify(caller.request(request)).await.map_err(Failure::from)?.into_inner();
    let labels = |labels: Vec<Label>| Labels { labels: labels.into_iter().map(|one| scored(one.label, one.index, one.score)).collect() };
    let images = args.files.iter().zip(answer.images);
    let images = images.map(|(file, one)| image(file, one.width, one.height, labels(one.labels))).collect();
    let seen = Seen { model: answer.model, model_version: answer.model_version, images };
    screen.show(&seen, || labels_as_text(&seen))
}

/// Where in a recording somebody speaks.
pub(crate) async fn listen(args: &ListenArgs, home: &Home, screen: &Screen) -> Result<()> {
    let audio = read(&args.file)?;
    let caller = Caller::connect(&args.client, home).await?;
    let request = DetectVoiceRequest {
        model: args.name.clone(),
        model_version: args.version.clone(),
        audio: audio.into(),
        options: Some(VoiceOptions { threshold: args.threshold, min_silence_ms: args.min_silence, ..Default::default() }),
        ..Default::default()
    };
    let mut client = AudioServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
    let answer = client.detect_voice(caller.request(request)).await.map_err(Failure::from)?.into_inner();
    let heard = heard(&args.file, answer);
    screen.show(&heard, || heard_as_text(&heard))
}

/// A file's bytes; `-` is standard input.
fn read(file: &Path) -> Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file).map_err(|error| Failure::file("read", file, &error));
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).map_err(|error| Failure::file("read", Path::new("standard input"), &error))?;
    Ok(bytes)
}

/// What the model is for.
async fn task(caller: &Caller, args: &SeeArgs) -> Result<String> {
    let mut client = GrpcInferenceServiceClient::new(caller.channel.clone()).max_decoding_message_size(MAX_ANSWER);
    let request = ModelMetadataRequest { name: args.name.clone(), version: args.version.clone() };
    let mut metadata = client.model_metadata(caller.request(request)).await.map_err(Failure::from)?.into_inner();
    Ok(metadata.properties.remove("task").unwrap_or_default())
}

fn image<T>(file: &Path, width: u32, height: u32, found: T) -> Image<T> {
    Image { file: file.display().to_string(), width, height, found }
}

fn scored(label: String, index: u32, score: f32) -> Scored {
    Scored { label, index, score }
}

fn boxed(one: Detection) -> Boxed {
    let place = one.r#box.unwrap_or_default();
    Boxed { what: scored(one.label, one.index, one.score), x_min: place.x_min, y_min: place.y_min, x_max: place.x_max, y_max: place.y_max }
}

fn heard(file: &Path, answer: DetectVoiceResponse) -> Heard {
    let segment = |one: torchmesh_api::audio::v1::VoiceSegment| Segment {
        start_s: one.start_s,
        end_s: one.end_s,
        start_sample: one.start_sample,
        end_sample: one.end_sample,
    };
    Heard {
        model: answer.model,
        model_version: answer.model_version,
        file: file.display().to_string(),
        duration_s: answer.duration_s,
        sample_rate: answer.sample_rate,
        segments: answer.segments.into_iter().map(segment).collect(),
    }
}

fn heading(model: &str, version: &str) -> String {
    format!("model {model} {version}\n\n")
}

fn labels_as_text(seen: &Seen<Labels>) -> String {
    let row = |image: &Image<Labels>, one: &Scored| [short(&image.file, SHOWN), one.label.clone(), format!("{:.4}", one.score)];
    let rows = seen.images.iter().flat_map(|image| image.found.labels.iter().map(move |one| row(image, one)));
    heading(&seen.model, &seen.model_version) + &table(["file", "label", "score"], rows)
}

fn boxes_as_text(seen: &Seen<Boxes>) -> String {
    let row = |image: &Image<Boxes>, one: &Boxed| {
        let corner = |x: f32, y: f32| format!("{x:.0},{y:.0}");
        let (label, score) = (one.what.label.clone(), format!("{:.4}", one.what.score));
        [short(&image.file, SHOWN), label, score, corner(one.x_min, one.y_min), corner(one.x_max, one.y_max)]
    };
    let rows = seen.images.iter().flat_map(|image| image.found.detections.iter().map(move |one| row(image, one)));
    heading(&seen.model, &seen.model_version) + &table(["file", "label", "score", "from", "to"], rows)
}

fn heard_as_text(heard: &Heard) -> String {
    let spoken: f64 = heard.segments.iter().map(|segment| segment.end_s - segment.start_s).sum();
    let facts = format!("speech in {spoken:.2} of {:.2} s, at {} samples a second\n\n", heard.duration_s, heard.sample_rate);
    let rows = heard.segments.iter().map(|segment| [format!("{:.2}", segment.start_s), format!("{:.2}", segment.end_s)]);
    heading(&heard.model, &heard.model_version) + &facts + &table(["from", "to"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_shown_by_their_corners_and_an_image_without_any_has_no_line() {
        let place = torchmesh_api::vision::v1::Box { x_min: 1.2, y_min: 2.0, x_max: 30.6, y_max: 4.0 };
        let found = Detection { r#box: Some(place), index: 7, label: "cat".to_owned(), score: 0.5 };
        let images = [("a.png", vec![boxed(found)]), ("b.png", Vec::new())];
        let images = images.map(|(file, detections)| image(Path::new(file), 40, 8, Boxes { detections })).into();
        let seen = Seen { model: "m".to_owned(), model_version: "1".to_owned(), images };
        assert_eq!(boxes_as_text(&seen), "model m 1\n\nFILE   LABEL  SCORE   FROM  TO\na.png  cat    0.5000  1,2   31,4");
        let json = serde_json::to_value(&seen).unwrap();
        assert_eq!(json["images"][0]["detections"][0]["x_min"], serde_json::json!(1.2_f32));
        assert_eq!((&json["images"][0]["width"], &json["images"][1]["detections"]), (&40.into(), &serde_json::json!([])));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = read(Path::new("/nowhere/cat.png")).unwrap_err();
        assert!(failure.code == crate::error::IO && failure.problem.contains("/nowhere/cat.png"), "{failure}");
    }
}

//! The demo's pipelines, as `make setup` lays them out, against the models that they are made of.

use std::{fs, slice, time::Duration};

use serde_json::{Value, json};
use torchmesh_api::{
    audio::v1::DetectVoiceRequest,
    inference::{InferParameter, ModelInferRequest, infer_parameter::ParameterChoice, model_infer_request::InferRequestedOutputTensor},
    tensor::{Datatype, Tensor, bytes_elements},
    text::v1::{ClassifyRequest, EmbedRequest},
    vision::v1::ClassifyRequest as Look,
};
use torchmesh_tests::{MeshSandbox, bounded, bounded_by, models::Model, places, web};

use super::{call, given, mesh, meshctl::Operator, request, start, texts, words};

/// The file of one of them.
fn file(name: &str) -> String {
    fs::read_to_string(places::repository().join("setup/pipelines").join(name).join("1.toml")).expect("a pipeline of the demo")
}

/// What its step `at` has as `field`.
fn field(name: &str, at: usize, field: &str) -> toml::Value {
    let file: toml::Table = file(name).parse().expect("TOML");
    field.split('.').fold(file["step"][at].clone(), |value, part| value[part].clone())
}

/// A file as an input of BYTES.
fn whole(file: &[u8]) -> Tensor {
    let data = [&u32::try_from(file.len()).unwrap().to_le_bytes()[..], file].concat();
    Tensor { datatype: Datatype::Bytes, shape: vec![1], data: data.into() }
}

fn reals(tensor: &Tensor) -> Vec<f64> {
    assert_eq!(tensor.datatype, Datatype::Fp64);
    tensor.data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

/// The vectors that minilm itself makes of texts, one by one.
async fn vectors(mesh: &MeshSandbox, all: &[String]) -> Vec<Vec<f32>> {
    let mut vectors = Vec::new();
    for text in all {
        let request = EmbedRequest { model: "minilm".to_owned(), texts: vec![text.clone()], ..Default::default() };
        vectors.push(mesh.text().embed(request).await.unwrap().into_inner().embeddings.remove(0).values);
    }
    vectors
}

#[test]
fn a_mail_is_kept_out_or_told_its_topic_as_the_models_themselves_would() {
    bounded(async {
        let builder = MeshSandbox::builder().model(Model::spam()).model(Model::minilm()).set("pipelines", "tell_steps", "true");
        let mesh = start(builder, &[("moderate/1", &file("moderate"))]).await;
        let named = |value: toml::Value| value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let names = named(field("moderate", 5, "inputs.from.data"));
        let topics = vectors(&mesh, &named(field("moderate", 2, "inputs.text.data"))).await;
        for (mail, topic) in [
            ("Your train to Berlin leaves at noon from platform 4.", "travel"),
            ("The report for the meeting is attached.", "work"),
            ("The program crashes with an error after the update.", "computers"),
        ] {
            let answer = call(&mesh, "moderate", &[("text", texts(&[mail]))]).await.unwrap();
            let classify = ClassifyRequest { model: "spam".to_owned(), texts: vec![mail.to_owned()], ..Default::default() };
            let judged = mesh.text().classify(classify).await.unwrap().into_inner().classifications.remove(0).labels.remove(0);
            assert_eq!(words(&given(&answer, "label").unwrap()), ["ham"], "{mail}");
            let score = given(&answer, "score").unwrap().to_f32s().unwrap()[0];
            assert!(judged.label == "ham" && (judged.score - score).abs() < 1e-4, "{judged:?} and {score}");
            let own = vectors(&mesh, &[mail.to_owned()]).await.remove(0);
            let embedding = given(&answer, "embedding").unwrap();
            assert_eq!(embedding.shape, [1, 384]);
            // Texts of one batch are computed in another order than each by itself.
            assert!(embedding.to_f32s().unwrap().iter().zip(&own).all(|(given, own)| (given - own).abs() < 1e-4));
            let alike = |topic: &Vec<f32>| topic.iter().zip(&own).map(|(a, b)| a * b).sum::<f32>();
            let nearest = (0..topics.len()).max_by(|a, b| alike(&topics[*a]).total_cmp(&alike(&topics[*b]))).unwrap();
            assert_eq!((words(&given(&answer, "topic").unwrap()), names[nearest].as_str()), (vec![topic.to_owned()], topic), "{mail}");
        }
        let spam = call(&mesh, "moderate", &[("text", texts(&["Click here to claim your free prize money!"]))]).await.unwrap();
        assert_eq!(spam.outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), ["label", "score"]);
        assert_eq!(words(&given(&spam, "label").unwrap()), ["spam"]);
        let calls = |step| [("pipeline", "moderate"), ("step", step), ("code", "Ok")];
        let metrics = mesh.pipelines[0].metrics().await;
        let counted = ["judge", "embed", "topics"].map(|step| metrics.count("torchmesh_pipelines_step_calls_total", &calls(step)));
        assert_eq!(counted, [4, 3, 3], "of spam no vector is made");
        let (content, said) = Operator::of(&mesh).says(&["trace", "moderate", "text=The train is late.", "--output", "json"]);
        assert!(content, "{said}");
        let traced: Value = serde_json::from_str(&said).unwrap();
        let tries = traced["tries"].as_array().unwrap();
        let told = |at: usize, field: &str| tries[at][field].as_u64().unwrap();
        assert_eq!(
            (tries.len(), &tries[0]["step"], &tries[0]["model"], &tries[0]["code"]),
            (6, &json!("judge"), &json!("spam"), &json!("Ok"))
        );
        assert!(
            (1..3).all(|at| tries[at]["model"] == "minilm" && told(at, "began_us") >= told(0, "began_us") + told(0, "took_us")),
            "{said}"
        );
        assert_eq!([3, 4, 5].map(|at| tries[at]["transform"].as_str().unwrap()), ["similarity", "top_k", "pick"]);
        let body = json!({ "inputs": [{ "name": "text", "datatype": "BYTES", "shape": [1], "data": ["The meeting was moved to Thursday."] }],
            "outputs": [{ "name": "label" }, { "name": "topic" }] });
        let answer = web::post(mesh.gateway(), "/v2/models/moderate/infer", &body).await.json();
        let outputs: Vec<_> = answer["outputs"].as_array().unwrap().iter().map(|output| output["data"].clone()).collect();
        assert_eq!(outputs, [json!(["ham"]), json!(["work"])], "{answer}");
    });
}

#[test]
fn a_picture_gets_a_sentence_that_comes_word_by_word_and_is_the_same_each_time() {
    // The model writes half a dozen words a second where others keep the machine busy.
    bounded_by(Duration::from_secs(200), async {
        let mesh = mesh([Model::lite(), Model::smollm2()], &[("caption/1", &file("caption"))]).await;
        let picture = |name: &str| places::cache().join("pictures").join(name);
        let (image, label) = (fs::read(picture("cat.png")).expect("`make setup` fetches it"), "Egyptian Mau");
        let look = Look { model: "efficientnet-lite0".to_owned(), images: vec![image.clone().into()], ..Default::default() };
        let seen = mesh.vision().classify(look).await.unwrap().into_inner().images.remove(0).labels.remove(0);
        assert_eq!(seen.label, label);
        let caption = field("caption", 2, "text").as_str().unwrap().replace("{label}", label);
        let prompt = field("caption", 3, "text").as_str().unwrap().replace("{caption}", &caption);
        let written = words(&given(&rewritten(&mesh, &prompt).await, "text_output").unwrap()).concat();
        assert!(written.to_lowercase().contains(&label.to_lowercase()), "{written:?}");
        let question = request("caption", &[("image", whole(&image))]);
        let answer = mesh.inference().model_infer(question.clone()).await.unwrap().into_inner();
        assert_eq!(words(&given(&answer, "text").unwrap()), slice::from_ref(&written), "as the models by themselves");
        let mut pieces = mesh.inference().model_stream_infer(tokio_stream::iter([question])).await.unwrap().into_inner();
        let mut told = Vec::new();
        while let Some(piece) = pieces.message().await.unwrap() {
            assert_eq!(piece.error_message, "");
            told.extend(given(&piece.infer_response.unwrap(), "text").iter().flat_map(words));
        }
        assert!(told.len() > 5, "{told:?}");
        assert_eq!(told.concat(), written);
        let espresso = format!("image=@{}", picture("espresso.png").display());
        let (content, said) = Operator::of(&mesh).says(&["run", "caption", &espresso, "--stream"]);
        assert!(content && said.contains("espresso"), "{said:?}");
        let text = call(&mesh, "caption", &[("image", whole(b"no picture"))]).await.unwrap_err();
        assert!(text.message().contains("step \"see\""), "{text:?}");
    });
}

/// What smollm2 makes of a prompt, with the parameters of the pipeline.
async fn rewritten(mesh: &MeshSandbox, prompt: &str) -> torchmesh_api::inference::ModelInferResponse {
    let mut question = request("smollm2", &[("text_input", texts(&[prompt]))]);
    for (name, value) in field("caption", 4, "parameters").as_table().unwrap() {
        let choice = value.as_integer().map(ParameterChoice::Int64Param).or_else(|| value.as_float().map(ParameterChoice::DoubleParam));
        question.parameters.insert(name.clone(), InferParameter { parameter_choice: choice });
    }
    mesh.inference().model_infer(question).await.unwrap().into_inner()
}

#[test]
fn a_recording_is_cut_into_what_is_said_and_each_part_is_judged_by_itself() {
    bounded(async {
        let mesh = mesh([Model::vad()], &[("utterances/1", &file("utterances"))]).await;
        let speech = fs::read(places::repository().join("tests/golden/speech.flac")).unwrap();
        let answer = call(&mesh, "utterances", &[("audio", whole(&speech))]).await.unwrap();
        let [starts, ends] = ["start_s", "end_s"].map(|name| reals(&given(&answer, name).unwrap()));
        let hear = async |audio: Vec<u8>| {
            let request = DetectVoiceRequest { model: "vad".to_owned(), audio: audio.into(), probabilities: true, ..Default::default() };
            mesh.audio().detect_voice(request).await.unwrap().into_inner()
        };
        let own: Vec<_> = hear(speech.clone()).await.segments.iter().map(|segment| (segment.start_s, segment.end_s)).collect();
        assert_eq!(starts.iter().copied().zip(ends.iter().copied()).collect::<Vec<_>>(), own);
        let rounded: Vec<_> = own.iter().map(|(start, end)| format!("{start:.2} to {end:.2}")).collect();
        assert_eq!(rounded, ["0.74 to 3.39", "4.55 to 7.36"]);
        let clips = ModelInferRequest {
            outputs: vec![InferRequestedOutputTensor { name: "clip".to_owned(), ..Default::default() }],
            ..request("vad", &[("audio_bytes", whole(&speech))])
        };
        let clips = given(&mesh.inference().model_infer(clips).await.unwrap().into_inner(), "clip").unwrap();
        let sure = given(&answer, "sure").unwrap().to_f32s().unwrap();
        assert_eq!((clips.shape.as_slice(), sure.len()), (&[2][..], 2));
        for ((clip, sure), (start, end)) in bytes_elements(&clips.data).zip(sure).zip(own) {
            let heard = hear(clip.unwrap().to_vec()).await;
            assert!((heard.duration_s - (end - start)).abs() < 1e-9, "{heard:?}");
            let mean = heard.probabilities.iter().sum::<f32>() / heard.probabilities.len() as f32;
            assert!((mean - sure).abs() < 1e-4 && sure > 0.7, "{mean} and {sure}");
        }
        let recording = format!("audio=@{}", places::repository().join("tests/golden/speech.flac").display());
        let (content, said) = Operator::of(&mesh).says(&["trace", "utterances", &recording]);
        assert!(!content && said.contains("tell_steps"), "nobody has said that callers may know: {said}");
        let silence = call(&mesh, "utterances", &[("audio", whole(&silence()))]).await.unwrap();
        assert_eq!((reals(&given(&silence, "start_s").unwrap()), given(&silence, "sure")), (vec![], None));
    });
}

/// A second without a sound: 8000 samples of 16 bits as a WAV file.
fn silence() -> Vec<u8> {
    let words = |all: &[u32]| all.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let format = words(&[16, 0x0001_0001, 8000, 16_000, 0x0010_0002]);
    [&b"RIFF"[..], &words(&[16_036]), b"WAVEfmt ", &format, b"data", &words(&[16_000]), &[0; 16_000]].concat()
}

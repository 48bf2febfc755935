//! `meshctl see` and `listen`, as people and scripts call them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use torchmesh_api::{
    frame,
    inference::ModelMetadataResponse,
    vision::v1::{Box as Rectangle, DetectResponse, Detection, ImageDetections},
};
use torchmesh_tests::{
    KEY, MeshSandbox, bounded,
    models::Model,
    places,
    upstream::{Manner, Upstream},
};

fn meshctl(mesh: &MeshSandbox, arguments: &[&str], input: Stdio) -> Output {
    let mut command = Command::new(places::program("meshctl"));
    command.args(arguments).env("TORCHMESH_GATEWAY_ADDR", mesh.gateway().to_string()).env("TORCHMESH_KEY", KEY);
    command.stdin(input).output().expect("meshctl starts")
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&told(output)).unwrap()
}

fn picture(name: &str) -> PathBuf {
    places::cache().join("pictures").join(name)
}

fn speech() -> PathBuf {
    places::repository().join("tests/golden/speech.flac")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn golden() -> Value {
    serde_json::from_str(&fs::read_to_string(places::repository().join("tests/golden/senses.json")).unwrap()).unwrap()
}

#[test]
fn images_are_given_their_labels_in_a_table_and_for_scripts() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::lite()]).await;
        let golden = golden();
        let known = golden["classes"].as_array().unwrap();
        let files: Vec<PathBuf> = known.iter().map(|known| picture(known["picture"].as_str().unwrap())).collect();
        let see = |more: &[&'static str]| {
            let arguments: Vec<&str> = ["see"].into_iter().chain(files.iter().map(|file| text(file))).chain(more.iter().copied()).collect();
            meshctl(&mesh, &arguments, Stdio::null())
        };
        let shown = told(&see(&["--top", "1"]));
        assert!(shown.starts_with("model efficientnet-lite0 1\n\nFILE"), "{shown}");
        assert_eq!(shown.lines().count(), 3 + files.len(), "a line for each image: {shown}");
        let answer = json(&see(&["--output", "json"]));
        for ((image, file), known) in answer["images"].as_array().unwrap().iter().zip(&files).zip(known) {
            assert_eq!(image["file"], text(file));
            assert_eq!(image["labels"][0]["label"], known["labels"][0]["label"]);
            assert!(image["width"].as_u64().unwrap() > 100 && shown.contains(known["labels"][0]["label"].as_str().unwrap()), "{image}");
        }
        let piped = meshctl(&mesh, &["see", "-", "--top", "1", "--output", "json"], File::open(&files[0]).unwrap().into());
        assert_eq!(json(&piped)["images"][0]["labels"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn a_model_that_finds_boxes_is_asked_for_boxes() {
    bounded(async {
        let properties = [("task".to_owned(), "detect-objects".to_owned())].into();
        let metadata = ModelMetadataResponse { name: "m".to_owned(), properties, ..Default::default() };
        let place = Rectangle { x_min: 3.0, y_min: 4.4, x_max: 100.0, y_max: 80.0 };
        let detections = vec![Detection { r#box: Some(place), index: 2, label: "cat".to_owned(), score: 0.75 }];
        let images = vec![ImageDetections { detections, width: 451, height: 300 }];
        let answer = DetectResponse { model: "m".to_owned(), model_version: "1".to_owned(), id: String::new(), images };
        let answers = vec![("ModelMetadata", frame::encode(&metadata)), ("Detect", frame::encode(&answer))];
        let upstream = Upstream::start(&["m"], Manner::AnswersEach(answers)).await;
        let mesh = MeshSandbox::builder().worker_at(upstream.addr).start().await;
        let file = picture("cat.png");
        let shown = told(&meshctl(&mesh, &["see", "--model", "m", text(&file)], Stdio::null()));
        assert!(shown.contains("cat") && shown.contains("0.7500") && shown.contains("3,4") && shown.contains("100,80"), "{shown}");
    });
}

#[test]
fn a_recording_is_given_its_speech_and_what_is_none_is_refused_by_the_mesh() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::vad()]).await;
        let answer = json(&meshctl(&mesh, &["listen", text(&speech()), "--output", "json"], Stdio::null()));
        let known = &golden()["voice"]["variants"][0];
        assert_eq!(known["options"], serde_json::json!({}));
        let found: Vec<Value> = answer["segments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| vec![one["start_sample"].clone(), one["end_sample"].clone()].into())
            .collect();
        assert_eq!(Value::from(found), known["segments"]);
        let shown = told(&meshctl(&mesh, &["listen", "-"], File::open(speech()).unwrap().into()));
        assert!(shown.contains("speech in ") && shown.contains("FROM"), "{shown}");
        let refused = meshctl(&mesh, &["listen", text(&places::repository().join("README.md"))], Stdio::null());
        assert_eq!(refused.status.code(), Some(64));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("is not a WAV or FLAC file"));
    });
}

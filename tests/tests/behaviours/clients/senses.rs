//! Images and sound through the whole mesh: real models answer as their reference implementations do, and say precisely what is wrong.

use std::{fs, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use torchmesh_api::{
    audio::v1::{
        DetectVoiceLiveRequest, DetectVoiceLiveResponse, DetectVoiceRequest, LiveFormat, VoiceOptions, detect_voice_live_response::Event,
    },
    vision::v1::{ClassifyRequest, DetectRequest},
};
use torchmesh_tests::{MeshSandbox, bounded, client, eventually, models::Model, places};

/// How far from the reference a score may be.
const TOLERANCE: f32 = 1e-4;
/// The same for a lossy file, which two decoders read with a difference of a level here and there.
const LOSSY: f32 = 5e-3;

fn golden() -> Value {
    serde_json::from_str(&fs::read_to_string(places::repository().join("tests/golden/senses.json")).unwrap()).unwrap()
}

fn picture(name: &str) -> Bytes {
    let file = places::cache().join("pictures").join(name);
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; `make setup` fetches it", file.display())).into()
}

fn speech() -> Bytes {
    fs::read(places::repository().join("tests/golden/speech.flac")).unwrap().into()
}

fn classify(images: &[Bytes]) -> ClassifyRequest {
    ClassifyRequest { model: "efficientnet-lite0".to_owned(), images: images.to_vec(), ..Default::default() }
}

fn listen(audio: impl Into<Bytes>) -> DetectVoiceRequest {
    DetectVoiceRequest { model: "vad".to_owned(), audio: audio.into(), ..Default::default() }
}

#[test]
fn pictures_have_the_labels_and_scores_of_the_reference() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::lite()]).await;
        let golden = golden();
        let known = golden["classes"].as_array().unwrap();
        let images: Vec<Bytes> = known.iter().map(|known| picture(known["picture"].as_str().unwrap())).collect();
        let together = mesh.vision().classify(classify(&images)).await.unwrap().into_inner();
        assert_eq!((together.model_version.as_str(), together.images.len()), ("1", 3));
        for (known, image) in known.iter().zip(&together.images) {
            let tolerance = if known["picture"].as_str().unwrap().ends_with("jpg") { LOSSY } else { TOLERANCE };
            for (want, got) in known["labels"].as_array().unwrap().iter().zip(&image.labels) {
                assert_eq!((u64::from(got.index), got.label.as_str()), (want["index"].as_u64().unwrap(), want["label"].as_str().unwrap()));
                let difference = (got.score - want["score"].as_f64().unwrap() as f32).abs();
                println!("{} {}: differs by {difference:e}", known["picture"], got.label);
                assert!(difference <= tolerance, "{}: {} differs by {difference}", known["picture"], got.label);
            }
        }
        let alone = mesh.vision().classify(ClassifyRequest { top_k: 1, min_score: Some(0.2), ..classify(&images[..1]) }).await;
        let alone = alone.unwrap().into_inner().images.remove(0);
        assert_eq!((alone.width, alone.height, alone.labels.len()), (451, 300, 1));
    });
}

#[test]
fn every_wrong_image_is_named_with_its_place() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::lite(), Model::noop()]).await;
        let (cat, rocket) = (picture("cat.png"), picture("rocket.jpg"));
        let second = |wrong: Bytes| classify(&[cat.clone(), wrong]);
        // A head that promises a gigapixel.
        let mut bomb = cat.to_vec();
        bomb[16..24].copy_from_slice(&[0, 0, 0x80, 0, 0, 0, 0x80, 0]);
        let sum = crc(&bomb[12..29]);
        bomb[29..33].copy_from_slice(&sum.to_be_bytes());
        let cases = [
            (classify(&[]), Code::InvalidArgument, "images is empty; send 1 to 64 images"),
            (second(Bytes::new()), Code::InvalidArgument, "images[1] is empty"),
            (second(Bytes::from_static(b"GIF89a")), Code::InvalidArgument, "images[1] is not a JPEG, PNG or WebP file"),
            (second(rocket.slice(..rocket.len() / 2)), Code::InvalidArgument, "images[1] is a JPEG file that ends too soon"),
            (second(cat.slice(..cat.len() / 2)), Code::InvalidArgument, "images[1] is a damaged PNG file"),
            (second(bomb.into()), Code::InvalidArgument, "images[1] is 32768 × 32768 pixels, and this model takes 50000000"),
            (ClassifyRequest { min_score: Some(2.0), ..classify(std::slice::from_ref(&cat)) }, Code::InvalidArgument, "min_score is 2"),
            (ClassifyRequest { id: "x".repeat(129), ..classify(std::slice::from_ref(&cat)) }, Code::InvalidArgument, "id has 129 bytes"),
            (
                ClassifyRequest { model: "noop".to_owned(), ..classify(std::slice::from_ref(&cat)) },
                Code::Unimplemented,
                "does not classify images",
            ),
            (ClassifyRequest { model: "nobody".to_owned(), ..classify(std::slice::from_ref(&cat)) }, Code::NotFound, "nobody"),
        ];
        for (request, code, part) in cases {
            let status = mesh.vision().classify(request).await.unwrap_err();
            assert_eq!(status.code(), code, "{status:?}");
            assert!(status.message().contains(part), "{part:?} is missing in {:?}", status.message());
        }
        let detect = DetectRequest { model: "efficientnet-lite0".to_owned(), images: vec![cat], ..Default::default() };
        let status = mesh.vision().detect(detect).await.unwrap_err();
        assert!(status.code() == Code::Unimplemented && status.message().contains("does not detect objects"), "{status:?}");
    });
}

/// The checksum that PNG files carry.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

#[test]
fn a_recording_has_the_segments_of_the_reference() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::vad()]).await;
        for known in golden()["voice"]["variants"].as_array().unwrap() {
            let whole = |key: &str| known["options"].get(key).map(|value| u32::try_from(value.as_u64().unwrap()).unwrap());
            let number = |key: &str| known["options"].get(key).map(|value| value.as_f64().unwrap());
            let options = VoiceOptions {
                threshold: number("threshold"),
                neg_threshold: number("neg_threshold"),
                min_speech_ms: whole("min_speech_duration_ms"),
                min_silence_ms: whole("min_silence_duration_ms"),
                speech_pad_ms: whole("speech_pad_ms"),
                max_speech_s: number("max_speech_duration_s"),
            };
            let request = DetectVoiceRequest { options: Some(options), probabilities: true, ..listen(speech()) };
            let answer = mesh.audio().detect_voice(request).await.unwrap().into_inner();
            let got: Vec<Value> = answer.segments.iter().map(|segment| vec![segment.start_sample, segment.end_sample].into()).collect();
            assert_eq!(Value::from(got), known["segments"], "{}", known["options"]);
            assert!((answer.duration_s - 126_000.0 / 16_000.0).abs() < 0.1 && answer.sample_rate == 16_000, "{}", answer.duration_s);
            assert_eq!(answer.probabilities.len(), golden()["voice"]["probabilities"].as_array().unwrap().len());
        }
    });
}

#[test]
fn every_wrong_recording_is_named() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::vad(), Model::noop()]).await;
        let nan = wav(&[f32::NAN]);
        let options = |options| DetectVoiceRequest { options: Some(options), ..listen(speech()) };
        let cases = [
            (listen(Bytes::new()), Code::InvalidArgument, "audio is empty; send a WAV or FLAC file"),
            (listen(&b"ID3 is no container that is read"[..]), Code::InvalidArgument, "audio is not a WAV or FLAC file"),
            (listen(speech().slice(..5000)), Code::InvalidArgument, "audio is a FLAC file that is damaged or ends too soon"),
            (listen(nan), Code::InvalidArgument, "audio has something that is not a number at sample 0 of channel 0"),
            (options(VoiceOptions { threshold: Some(1.5), ..Default::default() }), Code::InvalidArgument, "options.threshold is 1.5"),
            (DetectVoiceRequest { model: "noop".to_owned(), ..listen(speech()) }, Code::Unimplemented, "does not detect voice"),
        ];
        for (request, code, part) in cases {
            let status = mesh.audio().detect_voice(request).await.unwrap_err();
            assert_eq!(status.code(), code, "{status:?}");
            assert!(status.message().contains(part), "{part:?} is missing in {:?}", status.message());
        }
    });
}

/// A WAV file of 32-bit floats at 16 kHz.
fn wav(samples: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
    let rate = 16_000_u32.to_le_bytes();
    let format = [&[3, 0, 1, 0][..], &rate, &64_000_u32.to_le_bytes(), &[4, 0, 32, 0]].concat();
    [&b"RIFF"[..], &length(36 + data.len()), b"WAVEfmt ", &length(16), &format, b"data", &length(data.len()), &data].concat()
}

/// The recording in the form that a microphone gives: 16-bit numbers.
fn microphone() -> Bytes {
    let mut reader = claxon::FlacReader::new(std::io::Cursor::new(speech())).unwrap();
    reader.samples().flat_map(|sample| i16::try_from(sample.unwrap()).unwrap().to_le_bytes()).collect()
}

type Live = (mpsc::Sender<DetectVoiceLiveRequest>, Streaming<DetectVoiceLiveResponse>);

/// Opens a stream. The first message goes out before the answer is waited for.
async fn live(mut client: client::Audio, first: DetectVoiceLiveRequest) -> Result<Live, Status> {
    let (sender, messages) = mpsc::channel(4);
    sender.send(first).await.unwrap();
    let answers = client.detect_voice_live(ReceiverStream::new(messages)).await?.into_inner();
    Ok((sender, answers))
}

fn first() -> DetectVoiceLiveRequest {
    DetectVoiceLiveRequest { model: "vad".to_owned(), id: "mic".to_owned(), ..Default::default() }
}

/// Sends all of the sound in chunks, and gives every event as (kind, sample).
async fn heard(mesh: &MeshSandbox, sound: &Bytes, chunk: usize) -> Vec<(&'static str, u64)> {
    let (sender, mut answers) = live(mesh.audio(), first()).await.unwrap();
    let chunks: Vec<Bytes> = sound.chunks(chunk).map(Bytes::copy_from_slice).collect();
    let sending = async move {
        for audio in chunks {
            sender.send(DetectVoiceLiveRequest { audio, ..Default::default() }).await.unwrap();
        }
    };
    let reading = async {
        let mut events = Vec::new();
        while let Some(answer) = answers.message().await.unwrap() {
            match answer.event.unwrap() {
                Event::Begun(begun) => assert_eq!((begun.model.as_str(), begun.id.as_str(), events.len()), ("vad", "mic", 0)),
                Event::Start(edge) => events.push(("start", edge.at_sample)),
                Event::End(edge) => events.push(("end", edge.at_sample)),
            }
        }
        events
    };
    tokio::join!(sending, reading).1
}

#[test]
fn live_sound_has_the_events_of_the_reference_whatever_the_chunks_and_beside_other_streams() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::vad()]).await;
        let golden = golden();
        let known = golden["voice"]["events"].as_array().unwrap();
        let known: Vec<_> = known.iter().map(|event| (event[0].as_str().unwrap(), event[1].as_u64().unwrap())).collect();
        let sound = microphone();
        let [one, two, three] = [640, 1024, 30_002].map(|chunk| heard(&mesh, &sound, chunk));
        let (one, two, three) = tokio::join!(one, two, three);
        assert_eq!([&one, &two, &three], [&known; 3]);
    });
}

#[test]
fn a_stream_that_is_wrong_silent_or_one_too_many_is_ended_with_the_reason() {
    bounded(async {
        let limits = "[voice]\nmax_streams = 1\nidle_timeout = '300ms'\n";
        let mesh = MeshSandbox::with([Model::vad().with(limits)]).await;
        let format = |sample_rate, encoding| Some(LiveFormat { sample_rate, channels: 2, encoding });
        for (message, part) in [
            (DetectVoiceLiveRequest { format: format(1000, 0), ..first() }, "format.sample_rate is 1000"),
            (DetectVoiceLiveRequest { format: format(44_101, 0), ..first() }, "format.sample_rate: 44101 samples a second"),
            (DetectVoiceLiveRequest { format: format(16_000, 9), ..first() }, "format.encoding is 9"),
            (
                DetectVoiceLiveRequest { options: Some(VoiceOptions { min_speech_ms: Some(1), ..Default::default() }), ..first() },
                "options.min_speech_ms is for recordings",
            ),
        ] {
            let status = live(mesh.audio(), message).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert!(status.message().contains(part), "{part:?} is missing in {:?}", status.message());
        }
        let half = DetectVoiceLiveRequest { format: format(16_000, 1), audio: vec![0; 6].into(), ..first() };
        let (_sender, mut answers) = live(mesh.audio(), half).await.unwrap();
        let status = until_error(&mut answers).await;
        assert!(status.message().contains("audio has 6 bytes, and a frame of this stream has 4"), "{status:?}");

        let (_silent, mut answers) = live(mesh.audio(), first()).await.unwrap();
        let refused = live(mesh.audio(), first()).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
        let status = until_error(&mut answers).await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert!(status.message().contains("has sent nothing for 0.3 s"), "{status:?}");
    });
}

async fn until_error(answers: &mut Streaming<DetectVoiceLiveResponse>) -> Status {
    loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended well"),
            Err(status) => return status,
        }
    }
}

#[test]
fn a_caller_who_leaves_takes_the_stream_along() {
    bounded(async {
        let mesh = MeshSandbox::with([Model::vad().with("[voice]\nmax_streams = 1\n")]).await;
        let (sender, mut answers) = live(mesh.audio(), first()).await.unwrap();
        sender.send(DetectVoiceLiveRequest { audio: microphone().slice(..40_000), ..Default::default() }).await.unwrap();
        assert!(matches!(answers.message().await.unwrap().unwrap().event, Some(Event::Begun(_))));
        drop((sender, answers));
        // Its place is free again: the next stream is let in.
        let ask = async || live(mesh.audio(), first()).await.ok();
        eventually("the place is given back", Duration::from_secs(20), ask).await;
    });
}

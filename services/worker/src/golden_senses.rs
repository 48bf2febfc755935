//! Images and sound, held to what Python makes of them (`tests/golden/senses.py`).

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    audio::{Clock, Edge, Edges, Limits as SoundLimits, Resampler, VoiceOptions, Windows, decode as decode_sound, segments},
    engine::{self, EngineSpec},
    golden::{TOLERANCE, fetched, largest_difference},
    image::{Channels, Filter, Fit, Found, ImageSettings, Layout, Limits, Picture, Rectangle, decode, prepare, suppress},
    tensor::Tensor,
};

#[derive(Deserialize)]
struct Golden {
    resizing: Vec<Resized>,
    decoding: Vec<Decoded>,
    overlaps: Overlaps,
    voice: Voice,
    resampled: Vec<Resampled>,
}

#[derive(Deserialize)]
struct Resized {
    filter: String,
    width: u32,
    height: u32,
    sum: u32,
    first: Vec<u8>,
}

#[derive(Deserialize)]
struct Decoded {
    name: String,
    file: String,
    width: u32,
    height: u32,
    pixels: String,
}

#[derive(Deserialize)]
struct Overlaps {
    boxes: Vec<[f32; 4]>,
    scores: Vec<f32>,
    classes: Vec<usize>,
    overlap: f32,
    kept: Vec<usize>,
}

#[derive(Deserialize)]
struct Voice {
    probabilities: Vec<f32>,
    variants: Vec<Variant>,
    events: Vec<(String, u64)>,
}

#[derive(Deserialize)]
struct Variant {
    options: Value,
    segments: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
struct Resampled {
    rate: u32,
    samples: Vec<f32>,
}

static GOLDEN: LazyLock<Golden> = LazyLock::new(|| serde_json::from_str(include_str!("../../../tests/golden/senses.json")).unwrap());
const SPEECH: &[u8] = include_bytes!("../../../tests/golden/speech.flac");
const CLOCK: Clock = Clock { rate: 16_000, window: 512 };

/// The script's `pattern`.
fn pattern(width: u32, height: u32) -> Picture {
    let level = |at: u32| (u64::from(at).wrapping_mul(2_654_435_761).wrapping_add(12_345) as u32 >> 24) as u8;
    Picture { width, height, rgb: (0..width * height * 3).map(level).collect() }
}

/// The pixels of an image that is stretched to a size, as numbers from 0 to 255.
fn stretched(picture: &Picture, width: u32, height: u32, filter: Filter) -> Vec<u8> {
    let settings = ImageSettings {
        fit: Fit::Stretch,
        width,
        height,
        filter,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
        channels: Channels::Rgb,
        layout: Layout::Nhwc,
        upright: true,
        pad: 0,
        limits: Limits { max_bytes: 1 << 20, max_pixels: 1 << 20 },
    };
    prepare(picture, &settings).0.as_chunks().0.iter().map(|level| f32::from_le_bytes(*level) as u8).collect()
}

#[test]
fn every_filter_makes_the_pixels_that_pillow_makes() {
    let picture = pattern(61, 47);
    for golden in &GOLDEN.resizing {
        let filter = match golden.filter.as_str() {
            "box" => Filter::Box,
            "bilinear" => Filter::Bilinear,
            "bicubic" => Filter::Bicubic,
            _ => Filter::Lanczos,
        };
        let pixels = stretched(&picture, golden.width, golden.height, filter);
        let what = format!("{} to {} × {}", golden.filter, golden.width, golden.height);
        assert_eq!(pixels[..6], golden.first, "{what}");
        let sum = pixels.iter().fold(0_u32, |sum, &level| sum.wrapping_mul(31).wrapping_add(u32::from(level)));
        assert_eq!(sum, golden.sum, "{what}");
    }
}

#[test]
fn every_kind_of_file_has_the_pixels_that_pillow_reads() {
    for golden in &GOLDEN.decoding {
        let picture = decode(&base64(&golden.file), Limits { max_bytes: 1 << 20, max_pixels: 1 << 20 }, true).unwrap();
        assert_eq!((picture.width, picture.height), (golden.width, golden.height), "{}", golden.name);
        let worst = picture.rgb.iter().zip(base64(&golden.pixels)).map(|(got, want)| got.abs_diff(want)).max();
        // Two decoders of a lossy file round differently; of others they may not.
        let allowed = if golden.name.ends_with("jpeg") || golden.name == "webp" { 6 } else { 0 };
        assert!(worst <= Some(allowed), "{}: {worst:?}", golden.name);
        println!("{}: {worst:?}", golden.name);
    }
}

/// The bytes of base64 with padding.
fn base64(text: &str) -> Vec<u8> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let letters: Vec<u8> = text.bytes().filter(|letter| *letter != b'=').map(digit).collect();
    let group = |group: &[u8]| {
        let bits = group.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit)) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    letters.chunks(4).flat_map(group).collect()
}

#[test]
fn the_boxes_that_stay_are_those_of_torchvision() {
    let golden = &GOLDEN.overlaps;
    let found = |at: usize| {
        let [x_min, y_min, x_max, y_max] = golden.boxes[at];
        Found { rectangle: Rectangle { x_min, y_min, x_max, y_max }, class: golden.classes[at], score: golden.scores[at] }
    };
    let kept = suppress((0..golden.boxes.len()).map(found).collect(), golden.overlap, usize::MAX);
    assert_eq!(kept, golden.kept.iter().map(|&at| found(at)).collect::<Vec<_>>());
}

fn options(given: &Value) -> VoiceOptions {
    let whole = |key: &str, default: u64| given.get(key).map_or(default, |value| value.as_u64().unwrap());
    let number = |key: &str| given.get(key).map(|value| value.as_f64().unwrap());
    VoiceOptions {
        threshold: number("threshold").unwrap_or(0.5),
        neg_threshold: number("neg_threshold"),
        min_speech_ms: whole("min_speech_duration_ms", 250),
        min_silence_ms: whole("min_silence_duration_ms", 100),
        speech_pad_ms: whole("speech_pad_ms", 30),
        max_speech_s: number("max_speech_duration_s").unwrap_or(f64::INFINITY),
    }
}

fn speech() -> Vec<f32> {
    let mut samples = Vec::new();
    decode_sound(SPEECH, SoundLimits { max_bytes: 1 << 20, max_seconds: 60 }, 16_000, &mut samples).unwrap();
    samples
}

#[test]
fn segments_are_those_of_silero_vad() {
    let length = speech().len() as u64;
    for golden in &GOLDEN.voice.variants {
        let found = segments(&GOLDEN.voice.probabilities, length, CLOCK, &options(&golden.options));
        let found: Vec<_> = found.iter().map(|segment| (segment.start, segment.end)).collect();
        assert_eq!(found, golden.segments, "{}", golden.options);
    }
}

#[test]
fn live_events_are_those_of_silero_vad() {
    let mut edges = Edges::new(CLOCK, &options(&Value::Null));
    let events = GOLDEN.voice.probabilities.iter().filter_map(|&probability| edges.hear(probability));
    let named = events.map(|edge| match edge {
        Edge::Start(at) => ("start".to_owned(), at),
        Edge::End(at) => ("end".to_owned(), at),
    });
    assert_eq!(named.collect::<Vec<_>>(), GOLDEN.voice.events);
}

#[test]
fn other_rates_are_heard_as_torchaudio_hears_them() {
    let samples: Vec<f32> = (0..400_i64).map(|at| ((at * at * 7) % 2001 - 1000) as f32 / 1000.0).collect();
    for golden in &GOLDEN.resampled {
        let (mut resampler, mut out) = (Resampler::new(golden.rate, 16_000).unwrap(), Vec::new());
        resampler.push(&samples, &mut out);
        resampler.finish(&mut out);
        let worst = largest_difference(&out, &golden.samples);
        assert!(worst < TOLERANCE, "{}: {worst}", golden.rate);
    }
}

/// The engine of silero-vad as it was published.
fn silero() -> Box<dyn engine::Engine> {
    engine::load(&EngineSpec::new(fetched("silero-vad").join("silero_vad.jit"))).unwrap()
}

/// The probabilities of a recording, its windows heard `block` at a time.
fn probabilities(engine: &mut dyn engine::Engine, block: usize) -> Vec<f32> {
    let mut windows = Windows::new(512, 64);
    windows.input().extend(speech());
    windows.finish();
    let (mut state, mut all) = (Tensor::from_f32s([1, 2, 128], &[0.0; 256]), Vec::new());
    while windows.ready() > 0 {
        let count = windows.ready().min(block);
        let shape = vec![1, i64::try_from(count).unwrap(), 576];
        let audio = Tensor { datatype: state.datatype, shape, data: windows.take(count) };
        let [heard, next] = <[Tensor; 2]>::try_from(engine.forward(&[audio, state]).unwrap()).unwrap();
        all.extend(heard.to_f32s().unwrap());
        state = next;
    }
    all
}

#[test]
fn the_vad_hears_what_silero_vad_hears_however_its_windows_are_divided() {
    let mut engine = silero();
    for block in [1, 7, 1000] {
        let worst = largest_difference(&probabilities(engine.as_mut(), block), &GOLDEN.voice.probabilities);
        println!("largest difference from the reference, {block} windows at once: {worst:e}");
        assert!(worst < TOLERANCE, "{block}: {worst}");
    }
}

#[test]
fn streams_in_one_batch_do_not_hear_each_other() {
    let mut engine = silero();
    let samples = speech();
    let (one, other) = (&samples[20_000..20_576], &samples[30_000..30_576]);
    let states: Vec<f32> = (0..512_u16).map(|at| f32::from(at % 7) / 10.0 - 0.3).collect();
    let mut run = |audio: &[f32], state: &[f32]| {
        let streams = i64::try_from(state.len() / 256).unwrap();
        let inputs = [Tensor::from_f32s([streams, 1, 576], audio), Tensor::from_f32s([streams, 2, 128], state)];
        engine.forward(&inputs).unwrap().iter().map(|output| output.to_f32s().unwrap()).collect::<Vec<_>>()
    };
    let together = run(&[one, other].concat(), &states);
    let apart = [run(one, &states[..256]), run(other, &states[256..])];
    for (at, alone) in apart.iter().enumerate() {
        assert!((together[0][at] - alone[0][0]).abs() < TOLERANCE);
        assert!(largest_difference(&together[1][at * 256..][..256], &alone[1]) < TOLERANCE);
    }
}

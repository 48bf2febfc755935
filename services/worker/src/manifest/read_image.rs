//! `[image]` and `[detector]`: how a model sees, and how its boxes are read.

use torchmesh_runtime::config::{ByteSize, Section};

use super::{
    ClassifyImageSettings, DetectObjectsSettings, PublishedImage, ScoreFunction, TensorSpec,
    read::within,
    words::{FitWord, FormWord},
};
use crate::{
    image::{BoxForm, Channels, Coordinates, DetectorForm, DetectorSettings, Filter, Fit, ImageSettings, Layout, Limits, Rule},
    tensor::Datatype,
};

/// The longest side of a model's input, in pixels.
const MAX_SIDE: usize = 4096;

pub(super) fn classify(s: &mut Section, published: &PublishedImage, labels: Vec<String>) -> ClassifyImageSettings {
    ClassifyImageSettings {
        image: s.section("image", |s| image(s, published, FitWord::Crop)),
        labels,
        function: s.or("scores", ScoreFunction::Softmax),
        top_k: within(s, "top_k", 5, 1..=1000),
    }
}

pub(super) fn detect(s: &mut Section, published: &PublishedImage, labels: Vec<String>) -> DetectObjectsSettings {
    DetectObjectsSettings {
        image: s.section("image", |s| image(s, published, FitWord::Letterbox)),
        labels,
        detector: s.section("detector", detector),
    }
}

fn image(s: &mut Section, published: &PublishedImage, fit: FitWord) -> ImageSettings {
    let [width, height] = size(s, published);
    let settings = ImageSettings {
        fit: fitting(s, published, fit, width.min(height)),
        width,
        height,
        filter: s.or("interpolation", published.filter.unwrap_or(Filter::Bilinear)),
        scale: s.or("scale", published.scale.unwrap_or(1.0 / 255.0)) as f32,
        mean: three(s, "mean", published.mean.unwrap_or([0.0; 3])),
        std: three(s, "std", published.std.unwrap_or([1.0; 3])),
        channels: s.or("channels", Channels::Rgb),
        layout: s.or("layout", Layout::Nchw),
        upright: s.or("exif", true),
        pad: u8::try_from(within(s, "pad", 114, 0..=255)).unwrap_or(114),
        limits: limits(s),
    };
    s.check(settings.scale.is_finite(), "scale", "must be a number");
    s.check(settings.std.iter().all(|std| *std != 0.0), "std", "must not be 0: the numbers are divided by it");
    settings
}

/// `size`: one number, or height and width.
fn size(s: &mut Section, published: &PublishedImage) -> [u32; 2] {
    let given: Vec<usize> = match (s.has("size"), published.size) {
        (false, Some((width, height))) => vec![height as usize, width as usize],
        (true, _) => s.or("size", Vec::new()),
        (false, None) => s.required("size").unwrap_or_default(),
    };
    let (height, width) = match given.as_slice() {
        [side] => (*side, *side),
        [height, width] => (*height, *width),
        _ => (0, 0),
    };
    let good = (1..=MAX_SIDE).contains(&height) && (1..=MAX_SIDE).contains(&width);
    s.check(good, "size", format!("must be [SIDE] or [HEIGHT, WIDTH], each from 1 to {MAX_SIDE}"));
    [width, height].map(|side| u32::try_from(side.clamp(1, MAX_SIDE)).unwrap_or(1))
}

fn fitting(s: &mut Section, published: &PublishedImage, default: FitWord, shorter: u32) -> Fit {
    let word = s.or("resize", published.fit.unwrap_or(default));
    if word != FitWord::Crop {
        return if word == FitWord::Letterbox { Fit::Letterbox } else { Fit::Stretch };
    }
    let default = published.shorter_side.unwrap_or(shorter) as usize;
    let shorter_side = u32::try_from(within(s, "shorter_side", default, 1..=2 * MAX_SIDE)).unwrap_or(shorter);
    // transformers rounds the other way than torchvision; a manifest of its own follows torchvision.
    Fit::Crop { shorter_side, even: published.fit.is_none() }
}

fn three(s: &mut Section, key: &str, default: [f64; 3]) -> [f32; 3] {
    let given = s.or(key, default.to_vec());
    let three: Option<[f64; 3]> = given.try_into().ok();
    s.check(three.is_some_and(|three| three.iter().all(|value| value.is_finite())), key, "must be three numbers: red, green, blue");
    three.unwrap_or(default).map(|value| value as f32)
}

fn limits(s: &mut Section) -> Limits {
    let ByteSize(max_bytes) = s.or("max_bytes", ByteSize::mib(20));
    s.check(max_bytes >= 1024, "max_bytes", "must be at least 1KiB");
    let max_pixels = within(s, "max_pixels", 50_000_000, 1..=1_000_000_000);
    Limits { max_bytes, max_pixels: max_pixels as u64 }
}

fn detector(s: &mut Section) -> DetectorSettings {
    let word = s.required("format").unwrap_or(FormWord::Rows);
    let form = match word {
        FormWord::Rows => DetectorForm::Rows { objectness: s.or("objectness", false), transposed: s.or("transposed", false) },
        FormWord::Boxes => DetectorForm::Boxes,
        FormWord::Queries => DetectorForm::Queries,
    };
    let (boxes, coordinates, overlap) = match word {
        FormWord::Rows => (BoxForm::Cxcywh, Coordinates::Pixels, 0.45),
        // Their models have left out what overlaps.
        FormWord::Boxes => (BoxForm::Xyxy, Coordinates::Pixels, 1.0),
        FormWord::Queries => (BoxForm::Cxcywh, Coordinates::Fraction, 1.0),
    };
    DetectorSettings {
        form,
        boxes: s.or("boxes", boxes),
        coordinates: s.or("coordinates", coordinates),
        function: if word == FormWord::Rows { s.or("scores", ScoreFunction::None) } else { ScoreFunction::None },
        rule: Rule {
            least_score: share(s, "score_threshold", 0.25),
            most_overlap: share(s, "iou_threshold", overlap),
            most: within(s, "max_detections", 100, 1..=10_000),
        },
    }
}

fn share(s: &mut Section, key: &str, default: f64) -> f32 {
    let value = s.or(key, default);
    s.check((0.0..=1.0).contains(&value), key, "must be from 0 to 1");
    value as f32
}

/// The input that an image becomes.
pub(super) fn input(image: &ImageSettings) -> TensorSpec {
    let shape = [-1].into_iter().chain(image.dims()).collect();
    TensorSpec { name: "image".to_owned(), datatype: Datatype::Fp32, shape, pad: None }
}

/// What a detector returns, in the order in which its numbers are read.
pub(super) fn outputs(detector: &DetectorSettings) -> Vec<TensorSpec> {
    let output = |name: &str, datatype, rank: usize| TensorSpec { name: name.to_owned(), datatype, shape: vec![-1; rank], pad: None };
    match detector.form {
        DetectorForm::Rows { .. } => vec![output("rows", Datatype::Fp32, 3)],
        DetectorForm::Boxes => {
            vec![output("boxes", Datatype::Fp32, 3), output("scores", Datatype::Fp32, 2), output("labels", Datatype::Int64, 2)]
        }
        DetectorForm::Queries => vec![output("logits", Datatype::Fp32, 3), output("pred_boxes", Datatype::Fp32, 3)],
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, Published, Task};
    use super::*;

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse(text, &Published::default()).map_err(|problems| problems.to_string())
    }

    #[test]
    fn an_image_classifier_needs_its_size_alone() {
        let manifest = parse("task = 'classify-image'\n[image]\nsize = [224]").unwrap();
        let Task::ClassifyImage(settings) = &manifest.task else { panic!("{:?}", manifest.task) };
        assert_eq!(settings.image.fit, Fit::Crop { shorter_side: 224, even: true });
        assert_eq!((manifest.inputs[0].shape.as_slice(), manifest.outputs[0].shape.len()), ([-1, 3, 224, 224].as_slice(), 2));
        assert_eq!(manifest.queue.max_rows, 64);
    }

    #[test]
    fn a_detector_says_how_its_numbers_are_arranged() {
        let text = "task = 'detect-objects'\nlabels = ['cat']\n[image]\nsize = [480, 640]\n[detector]\nformat = 'rows'\nobjectness = true";
        let manifest = parse(text).unwrap();
        let Task::DetectObjects(settings) = &manifest.task else { panic!("{:?}", manifest.task) };
        assert_eq!((settings.image.width, settings.image.height, settings.image.fit), (640, 480, Fit::Letterbox));
        assert_eq!(settings.detector.form, DetectorForm::Rows { objectness: true, transposed: false });
        let boxes = parse("task = 'detect-objects'\n[image]\nsize = [64]\n[detector]\nformat = 'boxes'").unwrap();
        assert_eq!(boxes.outputs.iter().map(|output| output.name.as_str()).collect::<Vec<_>>(), ["boxes", "scores", "labels"]);
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let report = parse(
            "task = 'detect-objects'\n[image]\nsize = [0]\nmean = [1.0]\nstd = [1.0, 0.0, 1.0]\ninterpolation = 'cubic'\nresize = 'fit'\n\
             [detector]\nformat = 'boxes'\nobjectness = true\nscore_threshold = 2.0\n",
        )
        .unwrap_err();
        for part in [
            "image.size: must be [SIDE] or [HEIGHT, WIDTH]",
            "image.mean: must be three numbers",
            "image.std: must not be 0",
            "image.interpolation: must be \"box\", \"bilinear\", \"bicubic\" or \"lanczos\"",
            "image.resize: must be \"crop\", \"letterbox\" or \"stretch\"",
            "detector.objectness: is not a setting here",
            "detector.score_threshold: must be from 0 to 1",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
        assert!(parse("task = 'classify-image'").unwrap_err().contains("image.size: is required"));
    }
}

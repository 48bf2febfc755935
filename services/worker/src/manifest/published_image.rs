//! What transformers' `preprocessor_config.json` says of how a model sees.

use serde_json::Value;

use super::words::FitWord;
use crate::image::Filter;

/// Facts that stand in for settings of `[image]` that the manifest leaves out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PublishedImage {
    /// The input's width and height.
    pub(super) size: Option<(u32, u32)>,
    pub(super) fit: Option<FitWord>,
    pub(super) shorter_side: Option<u32>,
    pub(super) filter: Option<Filter>,
    pub(super) scale: Option<f64>,
    pub(super) mean: Option<[f64; 3]>,
    pub(super) std: Option<[f64; 3]>,
}

impl PublishedImage {
    /// Takes from the file what it says; what has no counterpart here (a size that depends on the image) says nothing.
    pub(super) fn parse(config: &Value) -> Self {
        let on = |key: &str| config.get(key).and_then(Value::as_bool);
        let crop = config.get("crop_size").and_then(size).filter(|_| on("do_center_crop") == Some(true));
        let (size, fit, shorter_side) = match (config.get("size"), crop) {
            (Some(resize), Some(crop)) => (Some(crop), Some(FitWord::Crop), shortest(resize)),
            (Some(resize), None) => convnext(config, resize).unwrap_or((size(resize), size(resize).map(|_| FitWord::Stretch), None)),
            (None, _) => (None, None, None),
        };
        Self {
            size,
            fit,
            shorter_side,
            filter: config.get("resample").and_then(Value::as_u64).and_then(filter),
            scale: config.get("rescale_factor").and_then(Value::as_f64).filter(|_| on("do_rescale") != Some(false)),
            mean: three(config, "image_mean").filter(|_| on("do_normalize") != Some(false)),
            std: three(config, "image_std").filter(|_| on("do_normalize") != Some(false)),
        }
    }
}

/// A number, or height and width.
fn size(value: &Value) -> Option<(u32, u32)> {
    let number = |value: &Value| u32::try_from(value.as_u64()?).ok();
    number(value).map(|side| (side, side)).or_else(|| Some((number(value.get("width")?)?, number(value.get("height")?)?)))
}

/// What the shorter side becomes before the middle is cut out.
fn shortest(resize: &Value) -> Option<u32> {
    let side = resize.as_u64().or_else(|| resize.get("shortest_edge")?.as_u64());
    side.and_then(|side| u32::try_from(side).ok()).or_else(|| size(resize).map(|(width, height)| width.min(height)))
}

/// A size, how an image comes to it, and what the shorter side becomes first.
type Fit = (Option<(u32, u32)>, Option<FitWord>, Option<u32>);

/// ConvNeXT's processor: below 384 pixels the shorter side is made larger by `crop_pct` and the middle is cut out.
fn convnext(config: &Value, resize: &Value) -> Option<Fit> {
    let kind = ["image_processor_type", "feature_extractor_type"].iter().find_map(|key| config.get(*key)?.as_str())?;
    let side = shortest(resize).filter(|_| kind.starts_with("ConvNext"))?;
    let share = config.get("crop_pct").and_then(Value::as_f64).unwrap_or(0.875);
    let larger = (f64::from(side) / share) as u32;
    Some(if side < 384 {
        (Some((side, side)), Some(FitWord::Crop), Some(larger))
    } else {
        (Some((side, side)), Some(FitWord::Stretch), None)
    })
}

/// Pillow's numbers.
fn filter(resample: u64) -> Option<Filter> {
    match resample {
        1 => Some(Filter::Lanczos),
        2 => Some(Filter::Bilinear),
        3 => Some(Filter::Bicubic),
        4 => Some(Filter::Box),
        _ => None,
    }
}

fn three(config: &Value, key: &str) -> Option<[f64; 3]> {
    let values: Vec<f64> = config.get(key)?.as_array()?.iter().filter_map(Value::as_f64).collect();
    values.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn vits_stretch_clips_crop_and_convnexts_do_as_their_size_says() {
        let vit = PublishedImage::parse(&json!({
            "do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2, "size": 224
        }));
        assert_eq!(
            (vit.size, vit.fit, vit.filter, vit.mean),
            (Some((224, 224)), Some(FitWord::Stretch), Some(Filter::Bilinear), Some([0.5; 3]))
        );
        let clip = PublishedImage::parse(&json!({
            "crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "resample": 3, "size": {"shortest_edge": 240}, "rescale_factor": 0.5
        }));
        assert_eq!((clip.size, clip.fit, clip.shorter_side, clip.scale), (Some((224, 224)), Some(FitWord::Crop), Some(240), Some(0.5)));
        let convnext = PublishedImage::parse(&json!({
            "image_processor_type": "ConvNextImageProcessor", "crop_pct": 0.875, "size": {"shortest_edge": 224}
        }));
        assert_eq!((convnext.size, convnext.fit, convnext.shorter_side), (Some((224, 224)), Some(FitWord::Crop), Some(256)));
    }

    #[test]
    fn a_size_that_depends_on_the_image_says_nothing() {
        let detr = PublishedImage::parse(&json!({"size": {"shortest_edge": 800, "longest_edge": 1333}}));
        assert_eq!((detr.size, detr.fit), (None, None));
    }
}

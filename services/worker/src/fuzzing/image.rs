use crate::image::{Channels, Filter, Fit, ImageSettings, Layout, Limits, Picture, decode, prepare};

const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 1 << 16 };
/// A model's input, in pixels.
const INPUT: (u32, u32) = (20, 16);

/// A file: what is taken has the pixels that it says, no more than may be, and becomes a model's input whatever its shape.
pub fn image(file: &[u8]) {
    let stored = decode(file, LIMITS, false);
    let upright = decode(file, LIMITS, true);
    assert_eq!(stored.is_ok(), upright.is_ok(), "the EXIF data decides: {stored:?}, {upright:?}");
    let (Ok(stored), Ok(upright)) = (stored, upright) else { return };
    for picture in [&stored, &upright] {
        let pixels = u64::from(picture.width) * u64::from(picture.height);
        assert!(
            (1..=LIMITS.max_pixels).contains(&pixels) && picture.rgb.len() as u64 == pixels * 3,
            "{}×{}",
            picture.width,
            picture.height
        );
    }
    let sides = (stored.width, stored.height);
    assert!([sides, (sides.1, sides.0)].contains(&(upright.width, upright.height)), "turned into another shape");
    let filters = [Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];
    let filter = filters[file.len() % filters.len()];
    for fit in [Fit::Stretch, Fit::Letterbox, Fit::Crop { shorter_side: 24, even: true }, Fit::Crop { shorter_side: 12, even: false }] {
        prepared(&upright, fit, filter);
    }
}

fn prepared(picture: &Picture, fit: Fit, filter: Filter) {
    let settings = ImageSettings {
        fit,
        width: INPUT.0,
        height: INPUT.1,
        filter,
        scale: 1.0,
        mean: [0.0; 3],
        std: [1.0; 3],
        channels: Channels::Rgb,
        layout: Layout::Nchw,
        upright: true,
        pad: 114,
        limits: LIMITS,
    };
    let (numbers, placed) = prepare(picture, &settings);
    assert_eq!(numbers.len(), settings.elements() * 4);
    let levels = numbers.as_chunks().0.iter().map(|level| f32::from_le_bytes(*level));
    assert!(levels.into_iter().all(|level| (0.0..=255.0).contains(&level)), "a level that no pixel has");
    assert!(placed.size.0 >= 1 && placed.size.1 >= 1 && placed.image == (picture.width, picture.height));
}

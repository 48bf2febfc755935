//! From an image's pixels to a model's input.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{
    Filter, Fit, Limits, Picture, Placement,
    resize::{Region, resize},
};

/// The order of a pixel's numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first, as OpenCV has it.
    Bgr,
}

/// The order of the input's dimensions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// \[batch, channel, row, column\], as PyTorch has it.
    Nchw,
    /// \[batch, row, column, channel\].
    Nhwc,
}

/// `[image]` of a manifest: how an image becomes the model's input.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSettings {
    /// `resize` and `shorter_side`.
    pub fit: Fit,
    /// `width` of the input, in pixels.
    pub width: u32,
    /// `height` of the input, in pixels.
    pub height: u32,
    /// `interpolation`.
    pub filter: Filter,
    /// `scale`: what each number from 0 to 255 is multiplied with, before `mean` is taken away and `std` divided by.
    pub scale: f32,
    /// `mean` of red, green and blue.
    pub mean: [f32; 3],
    /// `std` of red, green and blue.
    pub std: [f32; 3],
    /// `channels`.
    pub channels: Channels,
    /// `layout`.
    pub layout: Layout,
    /// `exif`: whether an image is turned as its EXIF data says.
    pub upright: bool,
    /// `pad`: the level, 0 to 255, of what the image does not fill.
    pub pad: u8,
    /// `max_bytes` and `max_pixels`.
    pub limits: Limits,
}

impl ImageSettings {
    /// The numbers of one image's input.
    pub fn elements(&self) -> usize {
        self.width as usize * self.height as usize * 3
    }

    /// The input's dimensions behind the batch.
    pub fn dims(&self) -> [i64; 3] {
        let (width, height) = (i64::from(self.width), i64::from(self.height));
        match self.layout {
            Layout::Nchw => [3, height, width],
            Layout::Nhwc => [height, width, 3],
        }
    }

    /// What each of the 256 levels of a channel becomes.
    fn levels(&self, channel: usize) -> [f32; 256] {
        std::array::from_fn(|level| (level as f32 * self.scale - self.mean[channel]) / self.std[channel])
    }
}

/// One image as `FP32` numbers of the model's input (little-endian), and where it came to lie in it.
pub fn prepare(picture: &Picture, settings: &ImageSettings) -> (Bytes, Placement) {
    let (from, into) = ((picture.width, picture.height), (settings.width, settings.height));
    let placed = Placement::new(settings.fit, from, into);
    let shared =
        [overlap(placed.left, placed.size.0, settings.width as usize), overlap(placed.top, placed.size.1, settings.height as usize)];
    let [columns, rows] = shared.each_ref().map(|side| side.image..side.image + side.length);
    let seen = resize(&picture.rgb, from, placed.size, &Region { columns, rows }, settings.filter);
    (numbers(&frame(&seen, &shared, into, settings.pad), settings), placed)
}

/// The input's pixels: those of the image that lie in it, and `pad` where there are none.
fn frame(seen: &[u8], [columns, rows]: &[Overlap; 2], (width, height): (u32, u32), pad: u8) -> Vec<u8> {
    let (width, height) = (width as usize, height as usize);
    let mut out = vec![pad; width * height * 3];
    for (row, line) in seen.chunks_exact(columns.length * 3).enumerate() {
        let to = ((rows.input + row) * width + columns.input) * 3;
        out[to..to + line.len()].copy_from_slice(line);
    }
    out
}

/// What image and input share along one side.
struct Overlap {
    image: usize,
    input: usize,
    length: usize,
}

fn overlap(offset: i64, size: u32, into: usize) -> Overlap {
    let image = usize::try_from(-offset).unwrap_or(0);
    let input = usize::try_from(offset).unwrap_or(0);
    Overlap { image, input, length: (size as usize).saturating_sub(image).min(into.saturating_sub(input)) }
}

fn numbers(rgb: &[u8], settings: &ImageSettings) -> Bytes {
    let order = match settings.channels {
        Channels::Rgb => [0, 1, 2],
        Channels::Bgr => [2, 1, 0],
    };
    let levels = order.map(|channel| settings.levels(channel));
    let mut out = BytesMut::with_capacity(rgb.len() * 4);
    let pixels = rgb.as_chunks::<3>().0;
    match settings.layout {
        Layout::Nchw => {
            for (channel, levels) in order.into_iter().zip(&levels) {
                for pixel in pixels {
                    out.put_f32_le(levels[usize::from(pixel[channel])]);
                }
            }
        }
        Layout::Nhwc => {
            for pixel in pixels {
                for (channel, levels) in order.into_iter().zip(&levels) {
                    out.put_f32_le(levels[usize::from(pixel[channel])]);
                }
            }
        }
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ImageSettings {
        ImageSettings {
            fit: Fit::Stretch,
            width: 2,
            height: 1,
            filter: Filter::Bilinear,
            scale: 1.0,
            mean: [1.0, 2.0, 3.0],
            std: [1.0, 1.0, 2.0],
            channels: Channels::Rgb,
            layout: Layout::Nchw,
            upright: true,
            pad: 7,
            limits: Limits { max_bytes: 1 << 20, max_pixels: 1 << 20 },
        }
    }

    fn prepared(settings: &ImageSettings) -> Vec<f32> {
        let picture = Picture { width: 2, height: 1, rgb: vec![10, 20, 30, 40, 50, 60] };
        prepare(&picture, settings).0.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
    }

    #[test]
    fn channels_and_layout_are_those_of_the_model() {
        let base = settings();
        assert_eq!(prepared(&base), [9.0, 39.0, 18.0, 48.0, 13.5, 28.5]);
        assert_eq!(prepared(&ImageSettings { channels: Channels::Bgr, ..base.clone() }), [13.5, 28.5, 18.0, 48.0, 9.0, 39.0]);
        assert_eq!(prepared(&ImageSettings { layout: Layout::Nhwc, ..base }), [9.0, 18.0, 13.5, 39.0, 48.0, 28.5]);
    }

    #[test]
    fn what_the_image_does_not_fill_has_the_level_of_the_frame() {
        let tall = ImageSettings { fit: Fit::Letterbox, height: 3, mean: [0.0; 3], std: [1.0; 3], ..settings() };
        assert_eq!(prepared(&tall)[..6], [7.0, 7.0, 10.0, 40.0, 7.0, 7.0]);
    }

    #[test]
    fn a_crop_takes_the_middle() {
        let crop = ImageSettings { fit: Fit::Crop { shorter_side: 1, even: true }, width: 1, mean: [0.0; 3], std: [1.0; 3], ..settings() };
        assert_eq!(prepared(&crop), [10.0, 20.0, 30.0]);
    }

    #[test]
    fn of_a_line_of_pixels_the_middle_is_seen_and_the_rest_takes_no_memory() {
        // Resized as a whole, each of them would be 10 GB.
        let crop = ImageSettings {
            fit: Fit::Crop { shorter_side: 224, even: true },
            width: 224,
            height: 224,
            mean: [0.0; 3],
            std: [1.0; 3],
            ..settings()
        };
        for (width, height) in [(65_535, 1), (1, 65_535)] {
            let middle = 32_767 * 3;
            let mut rgb = vec![0; 65_535 * 3];
            rgb[middle..middle + 3].fill(200);
            let (numbers, placed) = prepare(&Picture { width, height, rgb }, &crop);
            assert_eq!(placed.size.0.max(placed.size.1), 224 * 65_535);
            let seen = numbers.as_chunks().0.iter().map(|level| f32::from_le_bytes(*level)).fold(0.0, f32::max);
            assert!(numbers.len() == crop.elements() * 4 && seen > 100.0, "{seen}");
        }
    }
}

//! From a file's bytes to pixels, with every bound checked before the pixels are made.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, metadata::Orientation};

use super::jpeg;

/// The longest side of an image, in pixels.
const MAX_SIDE: u32 = 65_535;

/// How large an image may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// `max_bytes`: of the file.
    pub max_bytes: usize,
    /// `max_pixels`: width times height, as the file's head says it.
    pub max_pixels: u64,
}

/// An image, upright.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Picture {
    /// In pixels, at least 1.
    pub width: u32,
    /// In pixels, at least 1.
    pub height: u32,
    /// Red, green and blue of each pixel, 0 to 255, row by row.
    pub rgb: Vec<u8>,
}

/// Why a file cannot be answered for. The messages go on after the field's name ("images\[0\] …").
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ImageError {
    /// No bytes at all.
    #[error("is empty; send a JPEG, PNG or WebP file")]
    Empty,
    /// The file is over [`Limits::max_bytes`].
    #[error("has {have} bytes, and this model takes {limit}; send a smaller file")]
    TooManyBytes {
        /// Bytes that came.
        have: usize,
        /// Bytes that may.
        limit: usize,
    },
    /// The first bytes are those of no format that is read.
    #[error("is not a JPEG, PNG or WebP file")]
    UnknownFormat,
    /// The image is over [`Limits::max_pixels`], or one of its sides is over 65535.
    #[error("is {width} × {height} pixels, and this model takes {limit} pixels in all; send a smaller image")]
    TooManyPixels {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// Pixels that an image may have.
        limit: u64,
    },
    /// The file's head asks for more memory than an image of [`Limits::max_pixels`] needs.
    #[error("takes more memory to decode than an image of {limit} pixels, which this model takes; send a smaller image")]
    TooLarge {
        /// Pixels that an image may have.
        limit: u64,
    },
    /// The end of the file is missing.
    #[error("is a JPEG file that ends too soon; send it whole")]
    Truncated,
    /// The decoder gave up.
    #[error("is a damaged {format} file: {reason}")]
    Damaged {
        /// The format's name.
        format: &'static str,
        /// What the decoder said, in one line.
        reason: String,
    },
}

/// Decodes a JPEG, PNG or WebP file; of a moving one, the first picture. Transparency is dropped as `PIL.Image.convert("RGB")` drops it.
///
/// With `upright`, the image is turned as its EXIF data says.
pub fn decode(file: &[u8], limits: Limits, upright: bool) -> Result<Picture, ImageError> {
    let (format, name) = format(file, limits)?;
    let damaged = |error: image::ImageError| match error {
        image::ImageError::Limits(_) => ImageError::TooLarge { limit: limits.max_pixels },
        other => ImageError::Damaged { format: name, reason: reason(&other) },
    };
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(memory(limits));
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.max_pixels || width.max(height) > MAX_SIDE {
        return Err(ImageError::TooManyPixels { width, height, limit: limits.max_pixels });
    }
    if pixels == 0 {
        return Err(ImageError::Damaged { format: name, reason: "it has no pixels".to_owned() });
    }
    if format == ImageFormat::Jpeg && !jpeg::is_whole(file) {
        return Err(ImageError::Truncated);
    }
    // An EXIF block that makes no sense turns nothing, as in a viewer.
    let orientation = if upright { decoder.orientation().unwrap_or(Orientation::NoTransforms) } else { Orientation::NoTransforms };
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    let rgb = image.into_rgb8();
    Ok(Picture { width: rgb.width(), height: rgb.height(), rgb: rgb.into_raw() })
}

fn format(file: &[u8], limits: Limits) -> Result<(ImageFormat, &'static str), ImageError> {
    if file.is_empty() {
        return Err(ImageError::Empty);
    }
    if file.len() > limits.max_bytes {
        return Err(ImageError::TooManyBytes { have: file.len(), limit: limits.max_bytes });
    }
    if file.starts_with(&[0xff, 0xd8, 0xff]) {
        Ok((ImageFormat::Jpeg, "JPEG"))
    } else if file.starts_with(b"\x89PNG\r\n\x1a\n") {
        Ok((ImageFormat::Png, "PNG"))
    } else if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP") {
        Ok((ImageFormat::WebP, "WebP"))
    } else {
        Err(ImageError::UnknownFormat)
    }
}

/// What a decoder may take for itself: the widest pixel (four channels of 16 bits) of the largest image, and room for its tables.
fn memory(limits: Limits) -> image::Limits {
    let mut memory = image::Limits::no_limits();
    memory.max_alloc = Some(limits.max_pixels.saturating_mul(8).saturating_add(16 << 20));
    memory
}

fn reason(error: &image::ImageError) -> String {
    error.to_string().lines().next().unwrap_or("no reason given").chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder as _, codecs};
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_pixels: 10_000 };

    /// A gradient of 6 × 4 pixels in each format.
    fn files() -> [Vec<u8>; 3] {
        let rgb: Vec<u8> = (0..6 * 4 * 3).map(|at| at * 3).collect();
        let mut files = [Vec::new(), Vec::new(), Vec::new()];
        let [jpeg, png, webp] = &mut files;
        codecs::jpeg::JpegEncoder::new_with_quality(jpeg, 90).encode(&rgb, 6, 4, ExtendedColorType::Rgb8).unwrap();
        codecs::png::PngEncoder::new(png).write_image(&rgb, 6, 4, ExtendedColorType::Rgb8).unwrap();
        codecs::webp::WebPEncoder::new_lossless(webp).encode(&rgb, 6, 4, ExtendedColorType::Rgb8).unwrap();
        files
    }

    /// A PNG's head that promises `width` × `height`, and a little of its data.
    fn bomb(width: u32, height: u32) -> Vec<u8> {
        let mut head = b"IHDR".to_vec();
        head.extend(width.to_be_bytes());
        head.extend(height.to_be_bytes());
        head.extend([8, 2, 0, 0, 0]);
        let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
        file.extend(&head);
        file.extend(crc(&head).to_be_bytes());
        file.extend(b"\0\0\0\x02IDAT\x78\x9c\0\0\0\0");
        file
    }

    /// The checksum that PNG files carry.
    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |sum, &byte| {
            (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
        })
    }

    #[test]
    fn all_three_formats_are_told_by_their_first_bytes() {
        for file in files() {
            let picture = decode(&file, LIMITS, true).unwrap();
            assert_eq!((picture.width, picture.height, picture.rgb.len()), (6, 4, 72));
            assert!(picture.rgb[0].abs_diff(0) < 12 && picture.rgb[71].abs_diff(213) < 12, "{:?}", picture.rgb);
        }
    }

    #[test]
    fn an_image_that_would_not_fit_into_memory_is_refused_by_its_head_alone() {
        for (width, height) in [(100_000, 10_000), (101, 100)] {
            let refused = decode(&bomb(width, height), LIMITS, true).unwrap_err();
            assert_eq!(refused, ImageError::TooManyPixels { width, height, limit: 10_000 });
        }
        assert_eq!(decode(&bomb(u32::MAX >> 1, 1), LIMITS, true), Err(ImageError::TooLarge { limit: 10_000 }));
    }

    #[test]
    fn a_file_is_refused_wherever_it_is_cut() {
        for file in files() {
            for cut in 0..file.len() {
                // A PNG without its last chunk has all its pixels, and is shown by every viewer.
                let whole_png = file.starts_with(b"\x89PNG") && cut >= file.len() - 16;
                let got = decode(&file[..cut], LIMITS, true);
                assert!(got.is_err() || whole_png, "{:?} cut at {cut} of {}", &file[..4], file.len());
            }
        }
    }

    #[test]
    fn what_is_no_image_is_named() {
        assert_eq!(decode(b"", LIMITS, true), Err(ImageError::Empty));
        assert_eq!(decode(b"GIF89a", LIMITS, true), Err(ImageError::UnknownFormat));
        let large = decode(&vec![0; LIMITS.max_bytes + 1], LIMITS, true).unwrap_err();
        assert!(large.to_string().contains("has 1048577 bytes, and this model takes 1048576"), "{large}");
    }

    #[test]
    fn an_image_is_turned_as_its_exif_data_says() {
        let [jpeg, ..] = files();
        // Orientation 6: the camera was turned, so the image is shown turned clockwise by a quarter.
        let exif = b"\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let turned = [&jpeg[..2], &exif[..], &jpeg[2..]].concat();
        let upright = decode(&turned, LIMITS, true).unwrap();
        assert_eq!((upright.width, upright.height), (4, 6));
        let as_stored = decode(&turned, LIMITS, false).unwrap();
        assert_eq!((as_stored.width, as_stored.height), (6, 4));
        assert_eq!(upright.rgb[9..12], as_stored.rgb[..3], "the first pixel comes to the top right");
    }

    proptest! {
        #[test]
        fn damage_never_breaks_the_decoder(which in 0_usize..3, at: prop::sample::Index, value: u8) {
            let mut file = files()[which].clone();
            let at = at.index(file.len());
            file[at] = value;
            let _ = decode(&file, LIMITS, true);
        }
    }
}

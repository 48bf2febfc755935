//! Where an image comes to lie in a model's input, and where a box of the input lies in the image.

use super::Rectangle;

/// How an image of any shape becomes one of the model's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fit {
    /// The shorter side becomes `shorter_side` pixels, and the middle is cut out, as `Resize` and `CenterCrop` of torchvision do.
    Crop {
        /// In pixels.
        shorter_side: u32,
        /// Half a pixel of what is cut off goes to neither side: rounded as torchvision does (true), or as transformers does (false).
        even: bool,
    },
    /// All of it is kept, with bars where the shape is another.
    Letterbox,
    /// All of it is kept and pulled into shape.
    Stretch,
}

/// How an image was fitted: resized to `size`, and its top left corner put at `left`, `top` of the input (negative where it is cut off).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placement {
    /// The image's own width and height.
    pub image: (u32, u32),
    /// Its width and height within the input.
    pub size: (u32, u32),
    /// In pixels of the input.
    pub left: i64,
    /// In pixels of the input.
    pub top: i64,
}

impl Placement {
    /// Fits an image of `(width, height)` into an input of `into`.
    pub fn new(fit: Fit, image: (u32, u32), into: (u32, u32)) -> Self {
        let (size, offset): (_, fn(u32, u32, bool) -> i64) = match fit {
            Fit::Crop { shorter_side, .. } => (by_shorter_side(image, shorter_side), centred_crop),
            Fit::Letterbox => (within(image, into), centred_bars),
            Fit::Stretch => (into, |_, _, _| 0),
        };
        let even = matches!(fit, Fit::Crop { even: true, .. });
        Self { image, size, left: offset(size.0, into.0, even), top: offset(size.1, into.1, even) }
    }

    /// A box of the input, in pixels of the image and within it.
    pub fn back(&self, rectangle: Rectangle) -> Rectangle {
        let side = |value: f32, offset: i64, size: u32, image: u32| {
            let image = f64::from(image);
            ((f64::from(value) - offset as f64) * image / f64::from(size)).clamp(0.0, image) as f32
        };
        let (x, y) = (|value| side(value, self.left, self.size.0, self.image.0), |value| side(value, self.top, self.size.1, self.image.1));
        Rectangle { x_min: x(rectangle.x_min), y_min: y(rectangle.y_min), x_max: x(rectangle.x_max), y_max: y(rectangle.y_max) }
    }
}

fn by_shorter_side((width, height): (u32, u32), side: u32) -> (u32, u32) {
    let longer = |long: u32, short: u32| (f64::from(side) * f64::from(long) / f64::from(short)) as u32;
    if width <= height { (side, longer(height, width)) } else { (longer(width, height), side) }
}

fn within((width, height): (u32, u32), into: (u32, u32)) -> (u32, u32) {
    let scale = (f64::from(into.0) / f64::from(width)).min(f64::from(into.1) / f64::from(height));
    let side = |side: u32, most: u32| ((f64::from(side) * scale).round_ties_even() as u32).clamp(1, most);
    (side(width, into.0), side(height, into.1))
}

/// What is too much is cut off at both ends; what is missing is filled up at both.
fn centred_crop(size: u32, into: u32, even: bool) -> i64 {
    let over = i64::from(size) - i64::from(into);
    if over > 0 && even { -((over as f64 / 2.0).round_ties_even() as i64) } else { -(over / 2) }
}

fn centred_bars(size: u32, into: u32, _: bool) -> i64 {
    ((f64::from(into - size) / 2.0 - 0.1).round() as i64).max(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CROP: Fit = Fit::Crop { shorter_side: 256, even: true };

    #[test]
    fn the_middle_is_cut_out_as_torchvision_does() {
        // Resize(256) makes 451 × 300 to 384 × 256; CenterCrop(224) takes it from (80, 16).
        let placed = Placement::new(CROP, (451, 300), (224, 224));
        assert_eq!((placed.size, placed.left, placed.top), ((384, 256), -80, -16));
        // Half pixels go to the even side (2.5 to 2, 3.5 to 4), or down.
        for (size, even, want) in [(229, true, -2), (231, true, -4), (229, false, -2), (231, false, -3), (224, true, 0)] {
            assert_eq!(centred_crop(size, 224, even), want, "{size} {even}");
        }
    }

    #[test]
    fn an_image_smaller_than_the_crop_gets_a_frame() {
        assert_eq!(centred_crop(220, 224, true), 2);
        assert_eq!(centred_crop(221, 224, true), 1);
    }

    #[test]
    fn a_letterbox_keeps_the_shape() {
        let placed = Placement::new(Fit::Letterbox, (1280, 720), (640, 640));
        assert_eq!((placed.size, placed.left, placed.top), ((640, 360), 0, 140));
        assert_eq!(Placement::new(Fit::Letterbox, (1, 5000), (64, 64)).size, (1, 64), "never nothing");
    }

    proptest! {
        #[test]
        fn a_box_around_all_of_the_image_comes_back_as_all_of_it(
            width in 1_u32..4000, height in 1_u32..4000, into in (16_u32..700, 16_u32..700),
            fit in prop::sample::select(vec![CROP, Fit::Letterbox, Fit::Stretch]),
        ) {
            let placed = Placement::new(fit, (width, height), into);
            let corner = (placed.left as f32, placed.top as f32);
            let all = Rectangle {
                x_min: corner.0, y_min: corner.1, x_max: corner.0 + placed.size.0 as f32, y_max: corner.1 + placed.size.1 as f32,
            };
            let back = placed.back(all);
            prop_assert!(back.x_min.abs() < 0.01 && back.y_min.abs() < 0.01, "{:?}", back);
            prop_assert!((back.x_max - width as f32).abs() < 0.01 && (back.y_max - height as f32).abs() < 0.01, "{:?}", back);
        }

        #[test]
        fn no_box_lies_outside_of_the_image(values in prop::array::uniform4(-1e6_f32..1e6), width in 1_u32..3000, height in 1_u32..3000) {
            let [x_min, y_min, x_max, y_max] = values;
            let back = Placement::new(Fit::Letterbox, (width, height), (640, 640)).back(Rectangle { x_min, y_min, x_max, y_max });
            for x in [back.x_min, back.x_max] {
                prop_assert!((0.0..=width as f32).contains(&x));
            }
            for y in [back.y_min, back.y_max] {
                prop_assert!((0.0..=height as f32).contains(&y));
            }
        }
    }
}

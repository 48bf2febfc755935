//! From a detector's numbers to boxes.

use super::{Found, Placement, Rectangle, suppress::suppress};
use crate::{
    manifest::ScoreFunction,
    tensor::Tensor,
    text::scores::{scores, softmax},
};

/// The four numbers of a box.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BoxForm {
    /// The middle, width and height.
    Cxcywh,
    /// The top left corner, width and height.
    Xywh,
    /// The top left and the lower right corner.
    Xyxy,
}

/// What a box's numbers count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coordinates {
    /// Pixels of the model's input.
    Pixels,
    /// Shares of the input's width and height, from 0 to 1.
    Fraction,
}

/// How a detector's outputs are arranged; the manifest's outputs are in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DetectorForm {
    /// One output \[batch, boxes, numbers\]: a box's four numbers, with `objectness` one that says whether there is anything at all, and one for
    /// each class (the YOLO family). `transposed`: \[batch, numbers, boxes\].
    Rows {
        /// Whether a fifth number is multiplied into every class's score.
        objectness: bool,
        /// Whether the numbers come before the boxes.
        transposed: bool,
    },
    /// Boxes \[batch, boxes, 4\], scores \[batch, boxes\] and class numbers \[batch, boxes\] (torchvision's detectors, behind a wrapper that
    /// makes them a batch). A class of -1 and a score of 0 are filling.
    Boxes,
    /// Logits \[batch, queries, classes + 1\], whose last class means that there is nothing, and boxes \[batch, queries, 4\] (the DETR family).
    Queries,
}

/// What a detection has to pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// `score_threshold`: boxes with a lower score are left out.
    pub least_score: f32,
    /// `iou_threshold`: of two boxes of one class that overlap by more than this the better stays; 1 keeps all.
    pub most_overlap: f32,
    /// `max_detections` of an image.
    pub most: usize,
}

/// `[detector]` of a manifest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DetectorSettings {
    /// `format`, `objectness` and `transposed`.
    pub form: DetectorForm,
    /// `boxes`.
    pub boxes: BoxForm,
    /// `coordinates`.
    pub coordinates: Coordinates,
    /// `scores`: what the numbers of the classes are.
    pub function: ScoreFunction,
    /// What a caller who says nothing gets.
    pub rule: Rule,
}

/// One image's part of a detector's answer.
#[derive(Clone, Copy, Debug)]
pub struct DetectorOutput<'a> {
    /// The outputs, in the manifest's order, each with 1 as its first dimension.
    pub outputs: &'a [Tensor],
    /// The width and height of the model's input, in pixels.
    pub input: (u32, u32),
    /// Where the image lay in it.
    pub placed: Placement,
}

/// Before overlaps are looked at, no more boxes than this are kept: comparing each with each must not take longer than the model.
const CANDIDATES: usize = 4096;

/// What was found in an image, in its own pixels, best first. The error says what is wrong with the model's answer.
pub fn find(output: DetectorOutput<'_>, settings: &DetectorSettings, rule: Rule) -> Result<Vec<Found>, String> {
    let mut found = match settings.form {
        DetectorForm::Rows { objectness, transposed } => rows(output.outputs, objectness, transposed, settings.function, rule.least_score)?,
        DetectorForm::Boxes => boxes(output.outputs, rule.least_score)?,
        DetectorForm::Queries => queries(output.outputs, rule.least_score)?,
    };
    if found.len() > CANDIDATES {
        found.select_nth_unstable_by(CANDIDATES, |one, other| other.score.total_cmp(&one.score));
        found.truncate(CANDIDATES);
    }
    for one in &mut found {
        one.rectangle = corners(one.rectangle, settings, output.input);
    }
    // Overlaps are judged where the model saw them; then the boxes are brought back to the image.
    let mut kept = suppress(found, rule.most_overlap, rule.most);
    for one in &mut kept {
        one.rectangle = output.placed.back(one.rectangle);
    }
    Ok(kept)
}

/// An output's numbers, and its dimensions behind the batch.
fn numbers<const RANK: usize>(outputs: &[Tensor], at: usize) -> Result<(Vec<f32>, [usize; RANK]), String> {
    let output = outputs.get(at).ok_or_else(|| format!("the detector has no output {at}"))?;
    let values = output.to_f32s().or_else(|| Some(output.to_i64s()?.iter().map(|&value| value as f32).collect()));
    let values = values.ok_or_else(|| format!("the detector's output {at} is {}, not FP32 or INT64", output.datatype))?;
    let dims: Vec<usize> = output.shape.iter().skip(1).map(|&dim| usize::try_from(dim).unwrap_or(0)).collect();
    let dims: [usize; RANK] =
        dims.try_into().map_err(|_| format!("the detector's output {at} has the shape {:?}, not {} dimensions", output.shape, RANK + 1))?;
    if values.iter().any(|value| !value.is_finite()) {
        return Err(format!("the detector's output {at} holds something that is not a number"));
    }
    Ok((values, dims))
}

/// The four numbers as they come; [`corners`] makes a rectangle of them.
fn raw(numbers: [f32; 4]) -> Rectangle {
    let [x_min, y_min, x_max, y_max] = numbers;
    Rectangle { x_min, y_min, x_max, y_max }
}

fn rows(outputs: &[Tensor], objectness: bool, transposed: bool, function: ScoreFunction, least: f32) -> Result<Vec<Found>, String> {
    let (values, dims) = numbers::<2>(outputs, 0)?;
    let (count, wide) = if transposed { (dims[1], dims[0]) } else { (dims[0], dims[1]) };
    let first_class = if objectness { 5 } else { 4 };
    if wide <= first_class {
        return Err(format!("the detector's rows have {wide} numbers, and a box with at least one class has {}", first_class + 1));
    }
    let value = |row: usize, at: usize| if transposed { values[at * count + row] } else { values[row * wide + at] };
    let mut found = Vec::new();
    for row in 0..count {
        let classes: Vec<f32> = (first_class..wide).map(|at| value(row, at)).collect();
        let object = if objectness { scores(&[value(row, 4)], function)[0] } else { 1.0 };
        if let Some((class, score)) = best(&scores(&classes, function)).filter(|(_, score)| score * object >= least) {
            found.push(Found { rectangle: raw([0, 1, 2, 3].map(|at| value(row, at))), class, score: score * object });
        }
    }
    Ok(found)
}

fn boxes(outputs: &[Tensor], least: f32) -> Result<Vec<Found>, String> {
    let (corners, [count, four]) = numbers::<2>(outputs, 0)?;
    let (scores, [scored]) = numbers::<1>(outputs, 1)?;
    let (classes, [named]) = numbers::<1>(outputs, 2)?;
    if four != 4 || scored != count || named != count {
        return Err(format!("the detector returned {count} boxes of {four} numbers, {scored} scores and {named} classes"));
    }
    let each = corners.as_chunks::<4>().0.iter().zip(scores.iter().zip(&classes));
    let found = each.filter(|(_, (score, class))| **score >= least && **score > 0.0 && **class >= 0.0);
    Ok(found.map(|(corners, (score, class))| Found { rectangle: raw(*corners), class: *class as usize, score: *score }).collect())
}

fn queries(outputs: &[Tensor], least: f32) -> Result<Vec<Found>, String> {
    let (logits, [count, wide]) = numbers::<2>(outputs, 0)?;
    let (places, [boxes, four]) = numbers::<2>(outputs, 1)?;
    if four != 4 || boxes != count || wide < 2 {
        return Err(format!("the detector returned {count} queries of {wide} logits, and {boxes} boxes of {four} numbers"));
    }
    let each = logits.chunks_exact(wide).zip(places.as_chunks::<4>().0);
    let found = each.filter_map(|(logits, place)| {
        let (class, score) = best(&softmax(logits)[..wide - 1])?;
        (score >= least).then(|| Found { rectangle: raw(*place), class, score })
    });
    Ok(found.collect())
}

/// The highest score and its class; of equal ones the lower class.
fn best(scores: &[f32]) -> Option<(usize, f32)> {
    scores.iter().copied().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// A box's numbers as a rectangle in pixels of the input.
fn corners(numbers: Rectangle, settings: &DetectorSettings, (width, height): (u32, u32)) -> Rectangle {
    let Rectangle { x_min: a, y_min: b, x_max: c, y_max: d } = numbers;
    let [x_min, y_min, x_max, y_max] = match settings.boxes {
        BoxForm::Xyxy => [a, b, c, d],
        BoxForm::Xywh => [a, b, a + c, b + d],
        BoxForm::Cxcywh => [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0],
    };
    let (across, down) = match settings.coordinates {
        Coordinates::Pixels => (1.0, 1.0),
        Coordinates::Fraction => (width as f32, height as f32),
    };
    Rectangle { x_min: x_min * across, y_min: y_min * down, x_max: x_max * across, y_max: y_max * down }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Fit;

    const RULE: Rule = Rule { least_score: 0.25, most_overlap: 0.45, most: 100 };

    fn settings(form: DetectorForm) -> DetectorSettings {
        DetectorSettings { form, boxes: BoxForm::Cxcywh, coordinates: Coordinates::Pixels, function: ScoreFunction::None, rule: RULE }
    }

    /// What is found in an image of 200 × 100 pixels that lies in a letterbox of 100 × 100.
    fn find_in(outputs: &[Tensor], settings: &DetectorSettings) -> Result<Vec<Found>, String> {
        let placed = Placement::new(Fit::Letterbox, (200, 100), (100, 100));
        find(DetectorOutput { outputs, input: (100, 100), placed }, settings, settings.rule)
    }

    fn found(rectangle: [f32; 4], class: usize, score: f32) -> Found {
        Found { rectangle: raw(rectangle), class, score }
    }

    /// A box around the middle half, a worse one beside it, and one with too low a score.
    const YOLO: [[f32; 7]; 3] =
        [[50.0, 50.0, 50.0, 25.0, 1.0, 0.1, 0.8], [51.0, 50.0, 50.0, 25.0, 1.0, 0.1, 0.7], [20.0, 20.0, 5.0, 5.0, 0.1, 0.9, 0.9]];

    #[test]
    fn rows_of_the_yolo_family_become_boxes_of_the_image() {
        let want = [found([50.0, 25.0, 150.0, 75.0], 1, 0.8)];
        let rows = Tensor::from_f32s([1, 3, 7], &YOLO.concat());
        let plain = settings(DetectorForm::Rows { objectness: true, transposed: false });
        assert_eq!(find_in(&[rows], &plain).unwrap(), want);

        let columns: Vec<f32> = [0, 1, 2, 3, 5, 6].iter().flat_map(|&at| YOLO[..2].iter().map(move |row| row[at])).collect();
        let transposed = settings(DetectorForm::Rows { objectness: false, transposed: true });
        assert_eq!(find_in(&[Tensor::from_f32s([1, 6, 2], &columns)], &transposed).unwrap(), want);
    }

    #[test]
    fn boxes_of_torchvision_are_taken_as_they_are() {
        let outputs = [
            Tensor::from_f32s([1, 2, 4], &[25.0, 37.5, 75.0, 62.5, 0.0, 0.0, 0.0, 0.0]),
            Tensor::from_f32s([1, 2], &[0.9, 0.0]),
            Tensor::from_i64s([1, 2], &[3, -1]),
        ];
        let settings = DetectorSettings { boxes: BoxForm::Xyxy, ..settings(DetectorForm::Boxes) };
        assert_eq!(find_in(&outputs, &settings).unwrap(), [found([50.0, 25.0, 150.0, 75.0], 3, 0.9)]);
    }

    #[test]
    fn queries_that_found_nothing_are_left_out() {
        let logits = Tensor::from_f32s([1, 2, 3], &[0.0, 9.0, 0.0, 0.0, 0.0, 9.0]);
        let boxes = Tensor::from_f32s([1, 2, 4], &[0.5, 0.5, 0.5, 0.25, 0.1, 0.1, 0.1, 0.1]);
        let settings = DetectorSettings { coordinates: Coordinates::Fraction, ..settings(DetectorForm::Queries) };
        let got = find_in(&[logits, boxes], &settings).unwrap();
        assert_eq!((got.len(), got[0].class, got[0].rectangle), (1, 1, raw([50.0, 25.0, 150.0, 75.0])));
        assert!(got[0].score > 0.99);
    }

    #[test]
    fn an_answer_that_is_none_is_told() {
        let plain = settings(DetectorForm::Rows { objectness: true, transposed: false });
        let nan = Tensor::from_f32s([1, 1, 6], &[f32::NAN; 6]);
        assert!(find_in(&[nan], &plain).unwrap_err().contains("not a number"));
        assert!(find_in(&[Tensor::from_f32s([1, 1, 5], &[0.0; 5])], &plain).unwrap_err().contains("5 numbers"));
        assert!(find_in(&[], &plain).unwrap_err().contains("no output 0"));
    }
}

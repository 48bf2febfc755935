//! Boxes, and which of those that overlap stays.

/// A rectangle; `x_max` and `y_max` are its right and lower edges.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rectangle {
    /// The left edge.
    pub x_min: f32,
    /// The upper edge.
    pub y_min: f32,
    /// The right edge.
    pub x_max: f32,
    /// The lower edge.
    pub y_max: f32,
}

/// Something that a model found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Where.
    pub rectangle: Rectangle,
    /// What: the class's number.
    pub class: usize,
    /// How sure, from 0 to 1.
    pub score: f32,
}

impl Rectangle {
    fn area(self) -> f32 {
        (self.x_max - self.x_min).max(0.0) * (self.y_max - self.y_min).max(0.0)
    }

    /// What both cover against what either covers; 0 where neither covers anything.
    pub fn intersection_over_union(self, other: Self) -> f32 {
        let shared = Self {
            x_min: self.x_min.max(other.x_min),
            y_min: self.y_min.max(other.y_min),
            x_max: self.x_max.min(other.x_max),
            y_max: self.y_max.min(other.y_max),
        };
        let (shared, both) = (shared.area(), self.area() + other.area());
        if both > shared { shared / (both - shared) } else { 0.0 }
    }
}

/// The best `most` of `found`, best first, without those that overlap a better one of their class by more than `overlap`.
///
/// Of equal scores the earlier comes first, so that the same answer comes every time.
pub fn suppress(mut found: Vec<Found>, overlap: f32, most: usize) -> Vec<Found> {
    found.sort_by(|one, other| other.score.total_cmp(&one.score));
    let mut kept: Vec<Found> = Vec::with_capacity(most.min(found.len()));
    for one in found {
        if kept.len() == most {
            break;
        }
        let covers = |better: &Found| better.class == one.class && better.rectangle.intersection_over_union(one.rectangle) > overlap;
        if overlap >= 1.0 || !kept.iter().any(covers) {
            kept.push(one);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(x: f32, class: usize, score: f32) -> Found {
        Found { rectangle: Rectangle { x_min: x, y_min: 0.0, x_max: x + 10.0, y_max: 10.0 }, class, score }
    }

    #[test]
    fn the_better_of_two_that_overlap_stays_unless_they_are_of_two_classes() {
        let (good, near, other) = (at(0.0, 1, 0.9), at(1.0, 1, 0.8), at(1.0, 2, 0.7));
        assert_eq!(suppress(vec![near, other, good], 0.5, 10), [good, other]);
        assert_eq!(suppress(vec![near, other, good], 1.0, 10), [good, near, other], "1 keeps all");
        assert_eq!(suppress(vec![near, other, good], 0.5, 1), [good]);
    }

    fn any_found() -> impl Strategy<Value = Vec<Found>> {
        let one = (prop::array::uniform4(0_u8..20), 0_usize..3, 0_u8..10).prop_map(|([x, y, width, height], class, score)| {
            let [x, y, width, height] = [x, y, width, height].map(f32::from);
            Found {
                rectangle: Rectangle { x_min: x, y_min: y, x_max: x + width, y_max: y + height },
                class,
                score: f32::from(score) / 10.0,
            }
        });
        prop::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn no_two_that_stay_overlap_and_each_that_goes_is_covered_by_a_better_one(found in any_found(), overlap in 0.0_f32..0.99) {
            let kept = suppress(found.clone(), overlap, usize::MAX);
            let covers = |a: &Found, b: &Found| a.class == b.class && a.rectangle.intersection_over_union(b.rectangle) > overlap;
            for (at, one) in kept.iter().enumerate() {
                prop_assert!(kept[..at].iter().all(|better| better.score >= one.score && !covers(better, one)));
            }
            for one in &found {
                prop_assert!(kept.contains(one) || kept.iter().any(|better| better.score >= one.score && covers(better, one)));
            }
        }
    }
}

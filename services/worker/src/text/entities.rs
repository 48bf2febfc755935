//! From the scores of tokens to entities, as transformers' pipeline does it.

use super::{Place, Tokeniser, Window, scores::softmax};
use crate::manifest::Aggregation;

/// The label of what is no entity.
const OUTSIDE: &str = "O";

/// A token and the probabilities of its labels; later, several that are one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scored {
    /// Where it begins, in bytes.
    pub(crate) start: usize,
    /// The first byte behind it.
    pub(crate) end: usize,
    /// Whether it goes on with the word of the token before it.
    pub(crate) subword: bool,
    /// A probability for each label.
    pub(crate) scores: Vec<f32>,
}

/// A span with a label.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entity {
    /// The label's place among the model's outputs, of its first token.
    pub(crate) label: String,
    /// The mean of its tokens' or words' scores.
    pub(crate) score: f32,
    /// Where it begins, in bytes.
    pub(crate) start: usize,
    /// The first byte behind it.
    pub(crate) end: usize,
}

/// The tokens of a text from its windows' logits ([tokens, labels] each), special tokens left out. Of what two neighbouring windows share, which is
/// `overlap` tokens, each gives the half that is nearer to its own middle, so that every token is judged with text on both sides.
pub(crate) fn tokens(text: &str, tokeniser: &Tokeniser, windows: &[Window], logits: &[Vec<f32>], overlap: usize) -> Vec<Scored> {
    let mut tokens: Vec<Scored> = Vec::new();
    for (at, (window, logits)) in windows.iter().zip(logits).enumerate() {
        let labels = logits.len() / window.ids.len().max(1);
        let scored = window.places.iter().zip(&window.ids).zip(logits.chunks_exact(labels.max(1))).filter(|((place, _), _)| !place.special);
        let scored = scored.map(|((place, id), logits)| Scored {
            start: place.start,
            end: place.end,
            subword: is_subword(text, tokeniser, *place, *id),
            scores: softmax(logits),
        });
        if at == 0 {
            tokens.extend(scored);
        } else {
            let later = overlap / 2;
            tokens.truncate(tokens.len() - later.min(tokens.len()));
            tokens.extend(scored.skip(overlap - later));
        }
    }
    tokens
}

/// Whether a token goes on with a word. Where the tokenizer marks such tokens, its mark is what makes the token longer than its slice of the text;
/// where it does not, a word goes on until a space.
fn is_subword(text: &str, tokeniser: &Tokeniser, place: Place, id: u32) -> bool {
    let slice = text.get(place.start..place.end).unwrap_or_default();
    if Some(id) == tokeniser.unknown() {
        return false;
    }
    if tokeniser.marks_subwords() {
        return tokeniser.token(id).chars().count() != slice.chars().count();
    }
    let before = text.get(..place.start).and_then(|text| text.chars().next_back());
    before.is_some_and(|before| before != ' ') && !slice.starts_with(' ')
}

/// The entities among the tokens of a text, in their order; `label` names a score.
pub(crate) fn entities(tokens: &[Scored], aggregation: Aggregation, label: impl Fn(usize) -> String) -> Vec<Entity> {
    let words = match aggregation {
        Aggregation::None | Aggregation::Simple => tokens.to_vec(),
        Aggregation::First | Aggregation::Average | Aggregation::Max => words(tokens, aggregation),
    };
    let named = words.iter().map(|word| {
        let best = best(&word.scores);
        Entity { label: label(best), score: word.scores.get(best).copied().unwrap_or_default(), start: word.start, end: word.end }
    });
    let found = if aggregation == Aggregation::None { named.collect() } else { grouped(named) };
    found.into_iter().filter(|entity| entity.label != OUTSIDE).collect()
}

/// The first place of the highest score.
fn best(scores: &[f32]) -> usize {
    scores.iter().enumerate().fold(0, |best, (at, score)| if *score > scores[best] { at } else { best })
}

/// One for each word, with the scores that its tokens agree on.
fn words(tokens: &[Scored], aggregation: Aggregation) -> Vec<Scored> {
    let of_word = |tokens: &[Scored]| {
        let scores = match aggregation {
            Aggregation::Average => super::scores::mean(tokens.iter().map(|token| (token.scores.as_slice(), 1.0))),
            Aggregation::Max => {
                let top = |token: &Scored| token.scores[best(&token.scores)];
                let surest = tokens.iter().reduce(|surest, token| if top(token) > top(surest) { token } else { surest });
                surest.map(|token| token.scores.clone()).unwrap_or_default()
            }
            _ => tokens[0].scores.clone(),
        };
        Scored { start: tokens[0].start, end: tokens[tokens.len() - 1].end, subword: false, scores }
    };
    tokens.chunk_by(|_, next| next.subword).map(of_word).collect()
}

/// Neighbours of one label as one; `B-` begins anew.
fn grouped(named: impl Iterator<Item = Entity>) -> Vec<Entity> {
    let mut groups: Vec<Vec<Entity>> = Vec::new();
    for entity in named {
        let (begins, tag) = tag(&entity.label);
        match groups.last_mut() {
            Some(group) if !begins && self::tag(&group[group.len() - 1].label).1 == tag => group.push(entity),
            _ => groups.push(vec![entity]),
        }
    }
    let one = |group: Vec<Entity>| Entity {
        // What is before the first hyphen is a position, whatever it is.
        label: group[0].label.split_once('-').map_or(group[0].label.as_str(), |(_, label)| label).to_owned(),
        score: group.iter().map(|entity| entity.score).sum::<f32>() / group.len() as f32,
        start: group[0].start,
        end: group[group.len() - 1].end,
    };
    groups.into_iter().map(one).collect()
}

/// Whether a label begins an entity, and the entity's own label.
fn tag(label: &str) -> (bool, &str) {
    match (label.strip_prefix("B-"), label.strip_prefix("I-")) {
        (Some(tag), _) => (true, tag),
        (_, Some(tag)) => (false, tag),
        _ => (false, label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [&str; 4] = ["O", "B-PER", "I-PER", "LOC"];

    fn token(start: usize, end: usize, subword: bool, scores: [f32; 4]) -> Scored {
        Scored { start, end, subword, scores: scores.to_vec() }
    }

    fn found(tokens: &[Scored], aggregation: Aggregation) -> Vec<(String, usize, usize)> {
        let entities = entities(tokens, aggregation, |at| LABELS[at].to_owned());
        entities.into_iter().map(|entity| (entity.label, entity.start, entity.end)).collect()
    }

    fn spans(expected: &[(&str, usize, usize)]) -> Vec<(String, usize, usize)> {
        expected.iter().map(|&(label, start, end)| (label.to_owned(), start, end)).collect()
    }

    #[test]
    fn neighbours_of_one_label_are_one_entity_and_b_begins_anew() {
        let tokens = [
            token(0, 3, false, [0.0, 0.9, 0.1, 0.0]),
            token(4, 7, false, [0.1, 0.2, 0.7, 0.0]),
            token(8, 9, false, [0.0, 0.8, 0.2, 0.0]),
            token(10, 12, false, [0.9, 0.0, 0.0, 0.1]),
            token(13, 15, false, [0.2, 0.0, 0.0, 0.8]),
        ];
        assert_eq!(found(&tokens, Aggregation::Simple), spans(&[("PER", 0, 7), ("PER", 8, 9), ("LOC", 13, 15)]));
        let single = spans(&[("B-PER", 0, 3), ("I-PER", 4, 7), ("B-PER", 8, 9), ("LOC", 13, 15)]);
        assert_eq!(found(&tokens, Aggregation::None), single);
        let entities = entities(&tokens, Aggregation::Simple, |at| LABELS[at].to_owned());
        assert!((entities[0].score - 0.8).abs() < 1e-6, "the mean of 0.9 and 0.7");
    }

    #[test]
    fn a_word_has_one_label_by_the_strategy_that_was_asked_for() {
        let tokens = [
            token(0, 2, false, [0.4, 0.35, 0.25, 0.0]),
            token(2, 4, true, [0.0, 0.05, 0.0, 0.95]),
            token(4, 6, true, [0.0, 1.0, 0.0, 0.0]),
        ];
        assert_eq!(found(&tokens, Aggregation::First), spans(&[]));
        assert_eq!(found(&tokens, Aggregation::Max), spans(&[("PER", 0, 6)]));
        assert_eq!(found(&tokens, Aggregation::Average), spans(&[("PER", 0, 6)]));
        assert_eq!(found(&tokens[..2], Aggregation::Average), spans(&[("LOC", 0, 4)]));
        assert_eq!(found(&[], Aggregation::First), []);
    }
}

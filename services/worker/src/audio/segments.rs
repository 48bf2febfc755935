//! From a recording's probabilities of speech to its segments, by the rules of silero-vad's `get_speech_timestamps`.

/// Silence inside long speech that is remembered as a place to divide it, in milliseconds.
const DIVIDING_SILENCE_MS: u64 = 98;

/// What counts as speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoiceOptions {
    /// A window is speech from this probability on.
    pub threshold: f64,
    /// Speech goes on until the probability is below this; `None`: 0.15 below `threshold`, and at least 0.01.
    pub neg_threshold: Option<f64>,
    /// Shorter speech is left out.
    pub min_speech_ms: u64,
    /// Silence has to be this long to end speech.
    pub min_silence_ms: u64,
    /// Segments are made this much longer at both ends.
    pub speech_pad_ms: u64,
    /// Longer speech is divided; infinite: it is not.
    pub max_speech_s: f64,
}

impl VoiceOptions {
    /// The probability below which speech may end.
    pub fn ends_below(&self) -> f64 {
        self.neg_threshold.unwrap_or_else(|| (self.threshold - 0.15).max(0.01))
    }
}

/// The sizes that probabilities are counted in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clock {
    /// Samples a second, a multiple of 1000.
    pub rate: u64,
    /// Samples of one window.
    pub window: u64,
}

impl Clock {
    /// The samples of a time.
    pub fn samples(self, milliseconds: u64) -> u64 {
        self.rate / 1000 * milliseconds
    }
}

/// Speech, from its first sample to the one behind its last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Its first sample.
    pub start: u64,
    /// The one behind its last.
    pub end: u64,
}

/// The segments of a recording of `length` samples with these probabilities, one a window.
pub fn segments(probabilities: &[f32], length: u64, clock: Clock, options: &VoiceOptions) -> Vec<Segment> {
    let mut search = Search::new(clock, options);
    for (window, probability) in (0_u64..).zip(probabilities) {
        search.hear(window * clock.window, f64::from(*probability));
    }
    padded(search.finish(length), length, clock.samples(options.speech_pad_ms))
}

/// What is known at one window.
struct Search {
    starts_at: f64,
    ends_below: f64,
    min_speech: u64,
    min_silence: u64,
    dividing_silence: u64,
    max_speech: f64,
    found: Vec<Segment>,
    /// Where the present speech began.
    speech: Option<u64>,
    /// Where the present silence within it began.
    silence: Option<u64>,
    /// Silences within it that are over: where each began, and how long it was.
    breaks: Vec<(u64, u64)>,
}

impl Search {
    fn new(clock: Clock, options: &VoiceOptions) -> Self {
        let pad = clock.samples(options.speech_pad_ms);
        Self {
            starts_at: options.threshold,
            ends_below: options.ends_below(),
            min_speech: clock.samples(options.min_speech_ms),
            min_silence: clock.samples(options.min_silence_ms),
            dividing_silence: clock.samples(DIVIDING_SILENCE_MS),
            max_speech: clock.rate as f64 * options.max_speech_s - (clock.window + 2 * pad) as f64,
            found: Vec::new(),
            speech: None,
            silence: None,
            breaks: Vec::new(),
        }
    }

    /// Takes the window that begins at sample `now`.
    fn hear(&mut self, now: u64, probability: f64) {
        if probability >= self.starts_at {
            if let Some(silence) = self.silence.take()
                && now - silence > self.dividing_silence
            {
                self.breaks.push((silence, now - silence));
            }
            if self.speech.is_none() {
                self.speech = Some(now);
                return;
            }
        }
        if let Some(start) = self.speech
            && (now - start) as f64 > self.max_speech
        {
            self.divide(start, now);
        }
        if let (Some(start), true) = (self.speech, probability < self.ends_below) {
            self.quiet(start, now);
        }
    }

    /// Speech is too long: it ends at its longest silence and goes on behind it, or ends here where it has none.
    fn divide(&mut self, start: u64, now: u64) {
        // Of equal silences the first.
        let longest = self.breaks.iter().copied().reduce(|longest, next| if next.1 > longest.1 { next } else { longest });
        let end = longest.map_or(now, |(silence, _)| silence);
        self.found.push(Segment { start, end });
        self.rest();
        self.speech = longest.map(|(silence, length)| silence + length);
    }

    fn quiet(&mut self, start: u64, now: u64) {
        let silence = *self.silence.get_or_insert(now);
        if now - silence < self.min_silence {
            return;
        }
        if silence.saturating_sub(start) > self.min_speech {
            self.found.push(Segment { start, end: silence });
        }
        self.rest();
    }

    fn rest(&mut self) {
        (self.speech, self.silence) = (None, None);
        self.breaks.clear();
    }

    fn finish(mut self, length: u64) -> Vec<Segment> {
        if let Some(start) = self.speech.filter(|start| length.saturating_sub(*start) > self.min_speech) {
            self.found.push(Segment { start, end: length });
        }
        self.found
    }
}

/// Makes segments longer by `pad` at both ends; where two would meet, each gets half of what is between them.
fn padded(mut found: Vec<Segment>, length: u64, pad: u64) -> Vec<Segment> {
    if let Some(first) = found.first_mut() {
        first.start = first.start.saturating_sub(pad);
    }
    for next in 1..found.len() {
        let between = found[next].start - found[next - 1].end;
        let [before, behind] = if between < 2 * pad { [between / 2; 2] } else { [pad; 2] };
        found[next - 1].end = (found[next - 1].end + before).min(length);
        found[next].start -= behind;
    }
    if let Some(last) = found.last_mut() {
        last.end = (last.end + pad).min(length);
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::audio) const CLOCK: Clock = Clock { rate: 16_000, window: 512 };
    pub(in crate::audio) const OPTIONS: VoiceOptions = VoiceOptions {
        threshold: 0.5,
        neg_threshold: None,
        min_speech_ms: 250,
        min_silence_ms: 100,
        speech_pad_ms: 30,
        max_speech_s: f64::INFINITY,
    };

    /// Windows of speech (`true`) and silence.
    fn heard(runs: &[(bool, usize)]) -> Vec<f32> {
        runs.iter().flat_map(|&(speech, windows)| std::iter::repeat_n(if speech { 0.9 } else { 0.1 }, windows)).collect()
    }

    fn found(probabilities: &[f32], options: &VoiceOptions) -> Vec<(u64, u64)> {
        let length = probabilities.len() as u64 * CLOCK.window;
        segments(probabilities, length, CLOCK, options).iter().map(|segment| (segment.start, segment.end)).collect()
    }

    #[test]
    fn speech_between_silences_is_one_segment_with_its_padding() {
        let heard = heard(&[(false, 10), (true, 20), (false, 10)]);
        assert_eq!(found(&heard, &OPTIONS), [(10 * 512 - 480, 30 * 512 + 480)]);
    }

    #[test]
    fn a_short_silence_does_not_end_speech_and_short_speech_is_none() {
        assert_eq!(found(&heard(&[(true, 10), (false, 3), (true, 10)]), &OPTIONS), [(0, 23 * 512)]);
        assert_eq!(found(&heard(&[(false, 5), (true, 7), (false, 10)]), &OPTIONS), []);
    }

    #[test]
    fn speech_that_does_not_end_ends_with_the_recording() {
        assert_eq!(found(&heard(&[(false, 2), (true, 20)]), &OPTIONS), [(2 * 512 - 480, 22 * 512)]);
    }

    #[test]
    fn speech_that_is_too_long_is_divided_at_its_longest_silence() {
        let options = VoiceOptions { max_speech_s: 1.0, min_silence_ms: 400, ..OPTIONS };
        let heard = heard(&[(true, 10), (false, 5), (true, 6), (false, 4), (true, 20)]);
        let divided = found(&heard, &options);
        assert!(divided.len() > 1, "{divided:?}");
        assert_eq!(divided[0], (0, 10 * 512 + 480), "the first of the two silences is the longer");
    }

    proptest! {
        #[test]
        fn segments_are_in_order_apart_and_within_the_recording(
            probabilities in prop::collection::vec(0.0_f32..1.0, 0..200), pad in 0_u64..300, silence in 0_u64..300, speech in 0_u64..500,
            longest in prop::option::of(0.1_f64..3.0), threshold in 0.05_f64..0.95, short in 0_u64..512,
        ) {
            let options = VoiceOptions {
                threshold, neg_threshold: None, min_speech_ms: speech, min_silence_ms: silence, speech_pad_ms: pad,
                max_speech_s: longest.unwrap_or(f64::INFINITY),
            };
            let length = (probabilities.len() as u64 * CLOCK.window).saturating_sub(short);
            let found = segments(&probabilities, length, CLOCK, &options);
            prop_assert!(found.iter().all(|segment| segment.start <= segment.end && segment.end <= length), "{:?}", found);
            prop_assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "{:?}", found);
        }
    }
}

//! The same for sound that is still being made, by the rules of silero-vad's `VADIterator`: an event as soon as it is certain.

use super::segments::{Clock, VoiceOptions};

/// Speech begins or ends, at a sample of the stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Edge {
    /// At its first sample.
    Start(u64),
    /// At the one behind its last.
    End(u64),
}

/// What is known of a stream so far.
#[derive(Clone, Copy, Debug)]
pub struct Edges {
    clock: Clock,
    starts_at: f64,
    ends_below: f64,
    min_silence: u64,
    pad: u64,
    heard: u64,
    speaking: bool,
    /// The end of the window that the present silence began with.
    silence: Option<u64>,
    /// No event lies before the one before it.
    last: u64,
}

impl Edges {
    /// A stream of which nothing has been heard.
    pub fn new(clock: Clock, options: &VoiceOptions) -> Self {
        Self {
            clock,
            starts_at: options.threshold,
            ends_below: options.ends_below(),
            min_silence: clock.samples(options.min_silence_ms),
            pad: clock.samples(options.speech_pad_ms),
            heard: 0,
            speaking: false,
            silence: None,
            last: 0,
        }
    }

    /// Takes the next window's probability.
    pub fn hear(&mut self, probability: f32) -> Option<Edge> {
        let probability = f64::from(probability);
        self.heard += self.clock.window;
        if probability >= self.starts_at {
            self.silence = None;
            if !self.speaking {
                self.speaking = true;
                return Some(Edge::Start(self.after_last((self.heard - self.clock.window).saturating_sub(self.pad))));
            }
        }
        if !self.speaking || probability >= self.ends_below {
            return None;
        }
        let silence = *self.silence.get_or_insert(self.heard);
        if self.heard - silence < self.min_silence {
            return None;
        }
        (self.speaking, self.silence) = (false, None);
        Some(Edge::End(self.after_last(silence + self.pad - self.clock.window.min(silence + self.pad))))
    }

    /// The stream has ended after `length` samples: so has speech.
    pub fn finish(&mut self, length: u64) -> Option<Edge> {
        std::mem::take(&mut self.speaking).then(|| Edge::End(self.after_last(length)))
    }

    fn after_last(&mut self, at: u64) -> u64 {
        self.last = self.last.max(at);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::segments::tests::{CLOCK, OPTIONS},
        *,
    };

    fn events(probabilities: &[f32]) -> Vec<Edge> {
        let mut edges = Edges::new(CLOCK, &OPTIONS);
        let mut events: Vec<_> = probabilities.iter().filter_map(|&probability| edges.hear(probability)).collect();
        events.extend(edges.finish(probabilities.len() as u64 * CLOCK.window));
        events
    }

    #[test]
    fn an_event_comes_at_each_start_and_end() {
        let heard = [[0.1; 10], [0.9; 10], [0.1; 10]].concat();
        assert_eq!(events(&heard), [Edge::Start(10 * 512 - 480), Edge::End(20 * 512 + 480)]);
    }

    #[test]
    fn speech_that_goes_on_ends_with_the_stream() {
        assert_eq!(events(&[0.1, 0.9, 0.9]), [Edge::Start(512 - 480), Edge::End(3 * 512)]);
        assert_eq!(events(&[0.1; 5]), []);
    }

    proptest! {
        #[test]
        fn starts_and_ends_take_turns_and_time_goes_forward(probabilities in prop::collection::vec(0.0_f32..1.0, 0..200)) {
            let events = events(&probabilities);
            let times: Vec<_> = events.iter().map(|&(Edge::Start(at) | Edge::End(at))| at).collect();
            prop_assert!(times.is_sorted(), "{:?}", events);
            let turns = events.iter().enumerate().all(|(at, edge)| matches!(edge, Edge::Start(_)) == (at % 2 == 0));
            prop_assert!(turns && events.len().is_multiple_of(2), "{:?}", events);
        }
    }
}

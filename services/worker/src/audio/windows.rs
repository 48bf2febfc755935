//! Cutting sound into windows, each with the end of the one before it.

use bytes::{BufMut as _, Bytes, BytesMut};

/// A stream of sound on its way into windows.
#[derive(Debug)]
pub struct Windows {
    window: usize,
    context: usize,
    /// The context, and behind it the samples that do not make a window yet.
    samples: Vec<f32>,
}

impl Windows {
    /// Windows of `window` new samples, each behind `context` old ones; before the first there is silence.
    pub fn new(window: usize, context: usize) -> Self {
        Self { window, context, samples: vec![0.0; context] }
    }

    /// Where new samples are added.
    pub fn input(&mut self) -> &mut Vec<f32> {
        &mut self.samples
    }

    /// How many windows are whole.
    pub fn ready(&self) -> usize {
        (self.samples.len() - self.context) / self.window
    }

    /// Fills the last window up with silence, if one has begun.
    pub fn finish(&mut self) {
        let begun = (self.samples.len() - self.context) % self.window;
        if begun > 0 {
            self.samples.resize(self.samples.len() + self.window - begun, 0.0);
        }
    }

    /// Takes the next `count` windows, which have to be [`Windows::ready`], as numbers of a model's input.
    pub fn take(&mut self, count: usize) -> Bytes {
        let count = count.min(self.ready());
        let mut out = BytesMut::with_capacity(count * (self.context + self.window) * 4);
        for index in 0..count {
            let from = index * self.window;
            self.samples[from..from + self.context + self.window].iter().for_each(|sample| out.put_f32_le(*sample));
        }
        self.samples.drain(..count * self.window);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(windows: &mut Windows, count: usize) -> Vec<f32> {
        windows.take(count).as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample)).collect()
    }

    #[test]
    fn each_window_begins_with_the_end_of_the_one_before() {
        let mut windows = Windows::new(3, 1);
        windows.input().extend([1.0, 2.0]);
        assert_eq!(windows.ready(), 0);
        windows.input().extend([3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(windows.ready(), 2);
        assert_eq!(taken(&mut windows, 1), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(taken(&mut windows, 9), [3.0, 4.0, 5.0, 6.0]);
        windows.finish();
        assert_eq!(taken(&mut windows, 1), [6.0, 7.0, 0.0, 0.0]);
        windows.finish();
        assert_eq!(windows.ready(), 0, "a window that has not begun is not filled");
    }
}

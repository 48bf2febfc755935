//! A bar for a fetch, on a terminal; a line for what goes wrong, everywhere.

use std::io::Write as _;

use indicatif::{ProgressBar, ProgressStyle};
use torchmesh_fetch::Watch;

use super::{Colour, Screen};

/// How far a fetch is. (`indicatif` draws on standard error, and only where that is a terminal.)
pub(crate) struct Fetching<'a> {
    screen: &'a Screen,
    bar: ProgressBar,
}

impl<'a> Fetching<'a> {
    /// A bar with a name.
    pub(crate) fn new(screen: &'a Screen, name: &str) -> Self {
        // The template is a constant; were it wrong, the default style would do.
        let style = ProgressStyle::with_template("  {prefix} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left");
        let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_prefix(name.to_owned());
        Self { screen, bar }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Fetching<'_> {
    fn begins(&self, _files: usize, bytes: u64, here: u64) {
        self.bar.set_length(bytes.max(here));
        self.bar.set_position(here);
        // What was there before says nothing about the speed.
        self.bar.reset_eta();
    }

    fn moves(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn stumbles(&self, file: &str, reason: &str) {
        let line = self.screen.paint(Colour::Yellow, &format!("{file} goes on where it broke off: {reason}"));
        self.bar.suspend(|| drop(writeln!(std::io::stderr(), "{line}")));
    }
}

//! What happens, while it happens: a line for each instance on a terminal, plain lines elsewhere, JSON for another `meshctl`.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Colour, Screen};
use crate::supervise::event::{Event, Listener};

/// Shows events to a person, on standard error: standard output is for results.
pub(crate) struct Progress<'a> {
    screen: &'a Screen,
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    each: BTreeMap<String, ProgressBar>,
}

impl<'a> Progress<'a> {
    /// Spinners on a terminal, lines elsewhere.
    pub(crate) fn new(screen: &'a Screen) -> Self {
        let bars = std::io::stderr().is_terminal().then(|| Bars { all: MultiProgress::new(), each: BTreeMap::new() });
        Self { screen, bars }
    }

    /// Takes the spinners away; what happens from now on is shown in lines.
    fn settle(&mut self) {
        if let Some(bars) = self.bars.take() {
            bars.each.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.all.println(text)),
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    fn starting(&mut self, instances: &[String]) {
        let Some(bars) = &mut self.bars else { return };
        let width = instances.iter().map(String::len).max().unwrap_or(0);
        // The template is a constant; were it wrong, the default style would do.
        let style = ProgressStyle::with_template("  {spinner} {prefix} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        for name in instances {
            let bar = bars.all.add(ProgressBar::new_spinner().with_style(style.clone()).with_prefix(format!("{name:width$}")));
            bar.set_message("starting");
            bar.enable_steady_tick(Duration::from_millis(100));
            bars.each.insert(name.clone(), bar);
        }
    }

    fn ready(&self, instance: &str, after_ms: u64) {
        let seconds = Duration::from_millis(after_ms).as_secs_f64();
        let text = format!("{} in {seconds:.1} s", self.screen.paint(Colour::Green, "ready"));
        match self.bars.as_ref().and_then(|bars| bars.each.get(instance)) {
            Some(bar) => bar.finish_with_message(text),
            None => self.line(&format!("{instance}: {text}")),
        }
    }

    fn warn(&self, text: &str) {
        self.line(&self.screen.paint(Colour::Yellow, text));
    }
}

impl Listener for Progress<'_> {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Starting { instances } => self.starting(instances),
            Event::Listening { instance } => {
                if let Some(bar) = self.bars.as_ref().and_then(|bars| bars.each.get(instance)) {
                    bar.set_message("listening, not ready yet");
                }
            }
            Event::Ready { instance, after_ms } => self.ready(instance, *after_ms),
            Event::NotReady { instance } => self.warn(&format!("{instance}: no longer ready")),
            Event::Exited { instance, how, retry_ms, log } => {
                let wait = Duration::from_millis(*retry_ms).as_secs_f64();
                self.warn(&format!("{instance}: ended unexpectedly ({how}); starting it again in {wait:.1} s; its log: {log}"));
            }
            Event::Trouble { problem } => self.warn(problem),
            Event::Stopping { service } => {
                self.settle();
                self.line(&format!("stopping the {service}"));
            }
            Event::Up | Event::Failed { .. } => self.settle(),
            Event::Stopped => self.line("stopped; nothing is left running"),
        }
    }
}

/// Writes events as JSON lines: on standard output until the start is over one way or the other, for the `up --detach` that waits there,
/// and on standard error (the log) for ever.
pub(crate) struct JsonLines {
    awaited: bool,
}

impl JsonLines {
    pub(crate) fn new() -> Self {
        Self { awaited: true }
    }
}

impl Listener for JsonLines {
    fn hear(&mut self, event: &Event) {
        let Ok(line) = serde_json::to_string(event) else { return };
        // The one who waits may have been interrupted, and the disk may be full; the mesh goes on.
        if self.awaited {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        let _ = writeln!(std::io::stderr(), "{line}");
        self.awaited &= !matches!(event, Event::Up | Event::Failed { .. });
    }
}

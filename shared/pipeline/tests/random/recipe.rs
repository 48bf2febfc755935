//! Random pipelines, as the text of a file. All tensors are FP32 of two columns, so that anything fits anything.

use std::fmt::Write as _;

use proptest::prelude::*;

/// What a step is made of: which kind, which of the earlier ones it takes from, what else it has.
#[derive(Debug, Clone)]
pub(crate) struct Ingredient {
    kind: u8,
    picks: [u16; 6],
    flags: u16,
    /// Where it stands in the file.
    place: u16,
}

/// A random pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    steps: Vec<Ingredient>,
    /// What every call has, such as a timeout.
    every_call: &'static str,
}

/// Pipelines of up to so many steps.
pub(crate) fn recipes(most: usize, every_call: &'static str) -> impl Strategy<Value = Recipe> {
    let step = (any::<u8>(), any::<[u16; 6]>(), any::<u16>(), any::<u16>());
    let step = step.prop_map(|(kind, picks, flags, place)| Ingredient { kind, picks, flags, place });
    proptest::collection::vec(step, 1..=most).prop_map(move |steps| Recipe { steps, every_call })
}

/// What is known of a step that was written.
#[derive(Debug, Clone, Copy)]
struct Written {
    is_call: bool,
    certain: bool,
    used: bool,
}

impl Recipe {
    /// The same with each list as one call.
    pub(crate) fn without_lists(mut self) -> Self {
        self.steps.iter_mut().for_each(|step| step.flags &= !(1 << 4));
        self
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        let mut writer = Writer { written: Vec::new() };
        let mut steps: Vec<(u16, String)> =
            self.steps.iter().enumerate().map(|(at, step)| (step.place, writer.step(at, step, self.every_call))).collect();
        steps.sort();
        let mut text = String::from(
            "[[input]]\nname = 'x'\ndatatype = 'FP32'\nshape = [-1, 2]\n[[input]]\nname = 'flag'\ndatatype = 'INT64'\nshape = [1]\n",
        );
        for (_, step) in &steps {
            text.push_str(step);
        }
        for (at, _) in writer.written.iter().enumerate().filter(|(_, written)| !written.used) {
            let output = if writer.written[at].is_call { "y" } else { "out" };
            let _ = writeln!(text, "[[output]]\nname = 'o{at}'\nfrom = 's{at}.{output}'\noptional = true");
        }
        // Otherwise an input that no step takes would be a mistake.
        text.push_str("[[output]]\nname = 'x'\nfrom = 'input.x'\n[[output]]\nname = 'flag'\nfrom = 'input.flag'\n");
        text
    }
}

struct Writer {
    written: Vec<Written>,
}

impl Writer {
    /// A place that has a tensor of two columns, and whether it always has one.
    fn source(&mut self, pick: u16) -> (String, bool) {
        let choices = self.written.len() + 1;
        let at = usize::from(pick) % choices;
        if at == self.written.len() {
            return ("'input.x'".to_owned(), true);
        }
        self.written[at].used = true;
        let Written { is_call, certain, .. } = self.written[at];
        let output = if !is_call {
            "out"
        } else if pick.is_multiple_of(2) {
            "y"
        } else {
            "z"
        };
        (format!("'s{at}.{output}'"), certain)
    }

    /// One place or two.
    fn wire(&mut self, first: u16, second: u16, two: bool) -> (String, bool) {
        let (one, certain) = self.source(first);
        if !two || certain {
            return (one, certain);
        }
        let (other, certain) = self.source(second);
        (format!("[{one}, {other}]"), certain)
    }

    /// A place that has a single element.
    fn choice(&mut self, pick: u16) -> (String, bool) {
        let calls: Vec<usize> = (0..self.written.len()).filter(|at| self.written[*at].is_call).collect();
        match calls.get(usize::from(pick) % (calls.len() + 1)) {
            None => ("'input.flag'".to_owned(), true),
            Some(at) => {
                self.written[*at].used = true;
                (format!("'s{at}.c'"), self.written[*at].certain)
            }
        }
    }

    fn step(&mut self, at: usize, from: &Ingredient, every_call: &str) -> String {
        let flag = |bit: u16| from.flags >> bit & 1 == 1;
        let [first, second, third, fourth, choice, amount] = from.picks;
        let (x, mut certain) = self.wire(first, second, flag(0));
        let mut text = format!("[[step]]\nname = 's{at}'\n");
        let kind = from.kind % 10;
        let is_call = kind < 6;
        let mut inputs = format!("x = {x}");
        if matches!(kind, 1 | 7 | 8) {
            let (y, sure) = self.wire(third, fourth, flag(1));
            let _ = write!(inputs, ", y = {y}");
            certain &= sure;
        }
        let _ = writeln!(text, "inputs = {{ {inputs} }}");
        match kind {
            0 => text.push_str("model = 'add'\n"),
            1 => text.push_str("model = 'sum'\n"),
            2 => text.push_str("model = 'double'\n"),
            3 | 4 => {
                let (on, sure) = self.choice(choice);
                let default = if flag(2) { ", default = 'double'" } else { "" };
                certain &= sure && flag(2);
                let _ = writeln!(text, "switch = {{ on = {on}, cases = {{ 0 = 'add', 2 = 'turn' }}{default} }}");
            }
            5 => {
                let (by, least) = (if flag(3) { "mean" } else { "vote" }, 1 + amount % 3);
                let _ = writeln!(
                    text,
                    "ensemble = {{ models = ['add', 'double', 'turn'], by = '{by}', at_least = {least}, weights = [1, 2, 4] }}"
                );
            }
            6 => text.push_str("transform = 'slice'\nend = 1\n"),
            7 => text.push_str("transform = 'concat'\n"),
            8 => text.push_str("transform = 'mean'\n"),
            _ => text.push_str("transform = 'reshape'\nshape = [-1, 2]\n"),
        }
        if is_call {
            text.push_str(every_call);
            if flag(4) && kind != 1 {
                let _ = writeln!(text, "map = {{ over = ['x'], rows = {}, at_once = {} }}", 1 + amount % 3, 1 + amount / 3 % 3);
                certain = false;
            }
            if flag(5) && kind != 1 {
                text.push_str(if flag(6) { "fallback = ['turn']\n" } else { "fallback = ['double', 'turn']\n" });
            }
            let _ = writeln!(text, "retries = {}", amount % 7 % 3);
        }
        if flag(7) {
            let (value, _) = self.choice(choice.rotate_left(5));
            let test = ["is = 0", "is_not = [0, 2]", "at_least = 1", "below = 1.5"][usize::from(amount % 4)];
            let _ = writeln!(text, "when = {{ value = {value}, {test} }}");
            certain = false;
        }
        if flag(8) && flag(9) {
            text.push_str("optional = true\n");
            certain = false;
        }
        self.written.push(Written { is_call, certain, used: false });
        text
    }
}

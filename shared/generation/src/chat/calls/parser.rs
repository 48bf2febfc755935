//! Text taken apart into a message and calls, as it comes.

use super::{CallFormat, CallPiece, Delta, object::Object, object::Step};
use crate::sample::seed_of;

/// Reads what a model writes. What may be the beginning of a call is held back, so that a mark never shows in part; what turns out not to be one comes
/// as content. However the text is cut into pieces, the content and the calls are the same.
#[derive(Debug)]
pub struct Calls {
    format: CallFormat,
    /// The tools that there are.
    names: Vec<String>,
    seed: u64,
    state: State,
    /// What is not told yet: blanks and the beginning of a mark, or a call whose tool is not known yet.
    held: String,
    index: usize,
    deltas: Vec<Delta>,
}

#[derive(Debug)]
enum State {
    /// Content, and maybe the beginning of a mark.
    Text,
    /// Nothing can be a call any more.
    Plain,
    /// Before an object: the first of an answer or of a list, or the next one.
    Before { list: bool, first: bool },
    /// In an object; whether its id and name are told.
    Within { object: Box<Object>, list: bool, told: bool },
    /// In a call that is not JSON any more: all up to the mark is its arguments.
    Broken,
}

impl Calls {
    /// A reader of one answer. `seed` is what the calls' ids are made of; two answers of one seed have the same.
    pub fn new(format: CallFormat, names: impl IntoIterator<Item = String>, seed: u64) -> Self {
        let state = if format == CallFormat::Llama { State::Before { list: false, first: true } } else { State::Text };
        Self { format, names: names.into_iter().collect(), seed, state, held: String::new(), index: 0, deltas: Vec::new() }
    }

    /// Takes a piece of text and gives what it says.
    pub fn push(&mut self, text: &str) -> Vec<Delta> {
        for letter in text.chars() {
            self.take(letter);
        }
        std::mem::take(&mut self.deltas)
    }

    /// There is no more text: gives what was held back. A call that has been told stays as it is, complete or not.
    pub fn finish(&mut self) -> Vec<Delta> {
        match &self.state {
            // Blanks and brackets around calls are no content.
            State::Before { first: false, .. } | State::Broken | State::Within { told: true, .. } => self.held.clear(),
            _ => self.tell_held(),
        }
        self.state = State::Plain;
        std::mem::take(&mut self.deltas)
    }

    /// How many calls have been told.
    pub fn count(&self) -> usize {
        self.index
    }

    fn take(&mut self, letter: char) {
        match std::mem::replace(&mut self.state, State::Plain) {
            State::Plain => self.tell(letter),
            State::Text => self.take_text(letter),
            State::Before { list, first } => self.take_before(letter, list, first),
            State::Within { object, list, told } => self.take_within(letter, object, list, told),
            State::Broken => self.take_broken(letter),
        }
    }

    fn take_text(&mut self, letter: char) {
        self.state = State::Text;
        self.held.push(letter);
        while !self.held.is_empty() {
            let core = self.held.trim_start();
            if let Some(mark) = self.format.marks().iter().find(|mark| **mark == core) {
                // The end of a call stands behind it and is left out, with the blanks before it.
                if mark.starts_with("</") {
                    self.held.clear();
                } else {
                    self.state = State::Before { list: false, first: true };
                }
                return;
            }
            if self.format.marks().iter().any(|mark| mark.starts_with(core)) {
                return;
            }
            let first = self.held.remove(0);
            self.tell(first);
        }
    }

    fn take_before(&mut self, letter: char, list: bool, first: bool) {
        self.held.push(letter);
        let mistral = self.format == CallFormat::Mistral;
        match letter {
            '{' if first || list || self.format == CallFormat::Llama => {
                let mut object = Object::new(self.format == CallFormat::Llama);
                object.push(letter);
                self.state = State::Within { object: Box::new(object), list, told: false };
            }
            '[' if mistral && first && !list => self.state = State::Before { list: true, first },
            ',' if list && !first => self.state = State::Before { list, first },
            ';' | ',' if self.format == CallFormat::Llama && !first => self.state = State::Before { list, first },
            ']' if list => {
                self.held.clear();
                self.state = State::Text;
            }
            _ if letter.is_whitespace() => self.state = State::Before { list, first },
            _ => self.give_up(),
        }
    }

    fn take_within(&mut self, letter: char, mut object: Box<Object>, list: bool, mut told: bool) {
        let step = object.push(letter);
        if !told {
            self.held.push(letter);
            let known = object.name.as_ref().filter(|_| object.begun && step != Step::Fails);
            // Without a mark only the name of a tool tells a call from an answer in JSON.
            match known {
                Some(name) if self.format != CallFormat::Llama || self.names.contains(name) => {
                    self.begin_call(name.clone());
                    told = true;
                }
                Some(_) => return self.give_up(),
                None => {}
            }
        }
        if told {
            self.tell_arguments(&std::mem::take(&mut object.arguments));
        }
        match step {
            Step::Goes => self.state = State::Within { object, list, told },
            Step::Ends if list || self.format == CallFormat::Llama => self.state = State::Before { list, first: false },
            Step::Ends => self.state = State::Text,
            Step::Fails if told => {
                self.state = State::Broken;
                self.take_broken(letter);
            }
            Step::Fails => self.give_up(),
        }
    }

    /// Takes a letter behind the arguments of a call that has not ended as it should: it is dropped, up to the call's mark.
    fn take_broken(&mut self, letter: char) {
        self.state = State::Broken;
        self.held.push(letter);
        if self.format.marks().iter().any(|mark| mark.starts_with("</") && self.held.ends_with(mark)) {
            self.held.clear();
            self.state = State::Text;
        }
    }

    /// What was taken for a call is content.
    fn give_up(&mut self) {
        self.tell_held();
        self.state = if self.format == CallFormat::Llama { State::Plain } else { State::Text };
    }

    fn begin_call(&mut self, name: String) {
        self.held.clear();
        let piece = CallPiece { index: self.index, id: self.id(), name, arguments: String::new() };
        self.index += 1;
        self.deltas.push(Delta::Call(piece));
    }

    /// Nine letters and digits where Mistral's templates ask for them, else as OpenAI's look.
    fn id(&self) -> String {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let (prefix, length) = if self.format == CallFormat::Mistral { ("", 9) } else { ("call_", 24) };
        let letter = |place: u32| char::from(LETTERS[(seed_of(self.seed, self.index as u32 * 32 + place + 1) % 62) as usize]);
        prefix.chars().chain((0..length).map(letter)).collect()
    }

    fn tell(&mut self, letter: char) {
        match self.deltas.last_mut() {
            Some(Delta::Content(text)) => text.push(letter),
            _ => self.deltas.push(Delta::Content(letter.to_string())),
        }
    }

    fn tell_held(&mut self) {
        for letter in std::mem::take(&mut self.held).chars() {
            self.tell(letter);
        }
    }

    fn tell_arguments(&mut self, arguments: &str) {
        if arguments.is_empty() {
            return;
        }
        let index = self.index - 1;
        match self.deltas.last_mut() {
            Some(Delta::Call(piece)) if piece.index == index => piece.arguments.push_str(arguments),
            _ => self.deltas.push(Delta::Call(CallPiece { index, arguments: arguments.to_owned(), ..CallPiece::default() })),
        }
    }
}

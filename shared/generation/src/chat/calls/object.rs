//! The JSON object of one call, letter by letter.

/// Where an object is.
#[derive(Debug, Default)]
enum Place {
    /// Before the opening bracket.
    #[default]
    Outside,
    /// Before a key, or the closing bracket.
    Key,
    /// In a key.
    InKey,
    /// Between a key and its colon.
    Colon,
    /// Before a value.
    Value,
    /// In a value.
    InValue,
    /// Behind the closing bracket.
    Closed,
}

/// Whether a letter of a value is within quotes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Quote {
    #[default]
    Outside,
    Within,
    /// Behind a backslash.
    Escaped,
}

/// What a letter has brought.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Nothing to tell.
    Goes,
    /// The object is complete.
    Ends,
    /// This is no call.
    Fails,
}

/// Reads `{"name": ..., "arguments": {...}}`, with `parameters` for `arguments` too and the keys in any order.
#[derive(Debug, Default)]
pub(super) struct Object {
    place: Place,
    /// The key that is read or was read last, without quotes.
    key: String,
    /// The value that is read, as far as it is needed whole.
    value: String,
    /// How many brackets are open in the value.
    depth: usize,
    quote: Quote,
    /// The tool's name, once it is known.
    pub(super) name: Option<String>,
    /// Whether the arguments have begun.
    pub(super) begun: bool,
    /// The arguments that are not told yet.
    pub(super) arguments: String,
    /// Whether no other keys than those of a call may be there.
    strict: bool,
}

impl Object {
    pub(super) fn new(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    /// Takes a letter.
    pub(super) fn push(&mut self, letter: char) -> Step {
        match self.place {
            Place::Outside => self.expect(letter, '{', Place::Key),
            Place::Key => match letter {
                '"' => {
                    self.key.clear();
                    self.place = Place::InKey;
                    Step::Goes
                }
                '}' => self.close(),
                ',' => Step::Goes,
                _ if letter.is_whitespace() => Step::Goes,
                _ => Step::Fails,
            },
            Place::InKey => self.read_key(letter),
            Place::Colon => self.expect(letter, ':', Place::Value),
            Place::Value if letter.is_whitespace() => Step::Goes,
            Place::Value => {
                self.value.clear();
                (self.depth, self.quote) = (0, Quote::Outside);
                self.place = Place::InValue;
                self.read_value(letter)
            }
            Place::InValue => self.read_value(letter),
            Place::Closed => Step::Fails,
        }
    }

    fn expect(&mut self, letter: char, expected: char, then: Place) -> Step {
        if letter == expected {
            self.place = then;
            return Step::Goes;
        }
        if letter.is_whitespace() { Step::Goes } else { Step::Fails }
    }

    fn read_key(&mut self, letter: char) -> Step {
        if letter != '"' {
            self.key.push(letter);
            return Step::Goes;
        }
        self.place = Place::Colon;
        let known = self.names() || self.is_arguments() || matches!(self.key.as_str(), "type" | "id");
        if self.strict && !known || self.is_arguments() && self.begun { Step::Fails } else { Step::Goes }
    }

    fn names(&self) -> bool {
        self.key == "name"
    }

    fn is_arguments(&self) -> bool {
        self.key == "arguments" || self.key == "parameters"
    }

    /// Takes a letter of a value: what is within quotes counts for nothing, else brackets say where it ends.
    fn read_value(&mut self, letter: char) -> Step {
        if self.quote != Quote::Outside {
            self.keep(letter);
            self.quote = match (self.quote, letter) {
                (Quote::Within, '"') => Quote::Outside,
                (Quote::Within, '\\') => Quote::Escaped,
                _ => Quote::Within,
            };
            let ends = self.quote == Quote::Outside && self.depth == 0;
            return if ends { self.complete() } else { Step::Goes };
        }
        match letter {
            ',' | '}' if self.depth == 0 => {
                let step = self.complete();
                if step == Step::Goes && letter == '}' { self.close() } else { step }
            }
            _ => {
                self.keep(letter);
                match letter {
                    '"' => self.quote = Quote::Within,
                    '{' | '[' => self.depth += 1,
                    '}' | ']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.depth == 0 {
                            return self.complete();
                        }
                    }
                    _ => {}
                }
                Step::Goes
            }
        }
    }

    /// Arguments are told as they come, if they are an object; all else is needed whole.
    fn keep(&mut self, letter: char) {
        let whole = !self.is_arguments() || !(self.value.starts_with('{') || self.value.is_empty() && letter == '{');
        if whole {
            self.value.push(letter);
            return;
        }
        if self.value.is_empty() {
            self.value.push(letter);
            self.begun = true;
        }
        self.arguments.push(letter);
    }

    /// The value is complete.
    fn complete(&mut self) -> Step {
        self.place = Place::Key;
        if self.names() {
            let Ok(name) = serde_json::from_str(&self.value) else { return Step::Fails };
            self.name = Some(name);
        } else if self.is_arguments() && !self.value.starts_with('{') {
            // Some models write the object as a text, and some write null where there is nothing to say.
            let text: Result<Option<String>, _> = serde_json::from_str(&self.value);
            let Ok(text) = text else { return Step::Fails };
            self.begun = true;
            self.arguments.push_str(text.as_deref().unwrap_or("{}"));
        }
        Step::Goes
    }

    fn close(&mut self) -> Step {
        self.place = Place::Closed;
        if self.name.is_none() || self.strict && !self.begun {
            return Step::Fails;
        }
        if !self.begun {
            self.begun = true;
            self.arguments.push_str("{}");
        }
        Step::Ends
    }
}

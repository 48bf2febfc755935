//! A table of settings that is read field by field, so that every mistake in it is reported, not only the first.

use std::{cell::RefCell, collections::BTreeSet, fmt, rc::Rc};

use toml::{Table, Value};

use super::value::FromSetting;

/// One mistake: where, and what to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, as a dotted path.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// Every mistake that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}  {}: {}", problem.field, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A table being read. Each read takes the field out; what is left when the section is dropped is reported as unknown.
#[derive(Debug)]
pub struct Section {
    path: String,
    table: Table,
    known: BTreeSet<String>,
    problems: Rc<RefCell<Problems>>,
}

impl Section {
    /// Reads a whole table with `read`, and gives what it made or every mistake.
    ///
    /// `read` goes on after a mistake (with a default in the mistaken field's place), so that later fields are checked too.
    pub fn read_all<T>(table: Table, read: impl FnOnce(&mut Self) -> T) -> Result<T, Problems> {
        let problems = Rc::new(RefCell::new(Problems::default()));
        let mut section = Self { path: String::new(), table, known: BTreeSet::new(), problems: Rc::clone(&problems) };
        let made = read(&mut section);
        section.report_unknown();
        drop(section);
        let found = problems.take();
        if found.0.is_empty() { Ok(made) } else { Err(found) }
    }

    /// The field's value, or `default` where it is absent (or wrong, which is reported).
    pub fn or<T: FromSetting>(&mut self, key: &str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// The field's value, if it is there. A wrong one is reported and gives `None`.
    pub fn optional<T: FromSetting>(&mut self, key: &str) -> Option<T> {
        let value = self.take(key)?;
        match T::from_setting(&value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(key, message);
                None
            }
        }
    }

    /// The field's value; an absent one is reported. `None` means that a mistake was reported.
    pub fn required<T: FromSetting>(&mut self, key: &str) -> Option<T> {
        if !self.table.contains_key(key) {
            self.known.insert(key.to_owned());
            self.problem(key, format!("is required: {}", T::EXPECTED));
            return None;
        }
        self.optional(key)
    }

    /// A table within this one; an absent one reads as empty.
    pub fn section<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let table = match self.take(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                self.problem(key, format!("must be a table, not {}", other.type_str()));
                Table::new()
            }
        };
        self.child(self.join(key), table, read)
    }

    /// An array of tables; an absent one reads as empty. `read` gets each with its position.
    pub fn list<T>(&mut self, key: &str, mut read: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let items = match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.problem(key, format!("must be an array of tables ([[{}]]), not {}", self.join(key), other.type_str()));
                Vec::new()
            }
        };
        let mut made = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            let path = format!("{}[{at}]", self.join(key));
            match item {
                Value::Table(table) => made.push(self.child(path, table, &mut read)),
                other => self.problem(&format!("{key}[{at}]"), format!("must be a table, not {}", other.type_str())),
            }
        }
        made
    }

    /// The fields that have not been read yet, for a table whose keys are names that its author chose.
    pub fn unread(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }

    /// Whether the table has this field, which is a known one from now on.
    pub fn has(&mut self, key: &str) -> bool {
        self.known.insert(key.to_owned());
        self.table.contains_key(key)
    }

    /// Reports a mistake in a field, for checks that go beyond one value's form.
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        self.problems.borrow_mut().0.push(Problem { field: self.join(key), message: message.into() });
    }

    /// Reports `message` in `key` unless `good`.
    pub fn check(&self, good: bool, key: &str, message: impl Into<String>) {
        if !good {
            self.problem(key, message);
        }
    }

    fn child<T>(&self, path: String, table: Table, read: impl FnOnce(&mut Self) -> T) -> T {
        let mut child = Self { path, table, known: BTreeSet::new(), problems: Rc::clone(&self.problems) };
        let made = read(&mut child);
        child.report_unknown();
        made
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.known.insert(key.to_owned());
        self.table.remove(key)
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn report_unknown(&self) {
        let known = self.known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        for key in self.table.keys() {
            self.problem(key, format!("is not a setting here; known are: {known}"));
        }
    }
}

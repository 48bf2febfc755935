//! How urgent a call is: the words of the header `x-torchmesh-priority`.

/// How urgent a request is. While an executor is short, the classes share it as 16 : 4 : 1, so that `High` hardly notices the others and
/// `Low` never stands still.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Priority {
    /// Somebody waits for it.
    High,
    /// The default.
    #[default]
    Normal,
    /// It can wait.
    Low,
}

impl Priority {
    /// Every class, the most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Its share of a busy executor, beside the other classes that wait.
    pub const fn weight(self) -> u64 {
        match self {
            Self::High => 16,
            Self::Normal => 4,
            Self::Low => 1,
        }
    }

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The class that a word names.
    pub fn parse(word: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word().as_bytes() == word)
    }

    /// The class of a level in the protocol's way of counting: 1 is the most urgent.
    pub fn of_level(level: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(level).ok()?.checked_sub(1)?).copied()
    }

    /// The level in the protocol's way of counting.
    pub const fn level(self) -> u64 {
        self as u64 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_named_by_a_word_or_by_its_level() {
        for class in Priority::ALL {
            assert_eq!(Priority::parse(class.word().as_bytes()), Some(class));
            assert_eq!(Priority::of_level(class.level()), Some(class));
        }
        assert_eq!(Priority::parse(b"urgent"), None);
        assert_eq!((Priority::of_level(0), Priority::of_level(4), Priority::of_level(u64::MAX)), (None, None, None));
    }
}

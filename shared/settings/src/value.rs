//! How one setting is read from TOML or from the text of an environment variable or flag.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use toml::Value;

/// A type that a setting can have.
pub trait FromSetting: Sized {
    /// What the setting must be, as the end of a sentence.
    const EXPECTED: &'static str;

    /// Reads the value; the error says what was expected.
    fn from_setting(value: &Value) -> Result<Self, String>;
}

fn expected<T: FromSetting>(value: &Value) -> String {
    let shown: String = value.to_string().chars().take(60).collect();
    format!("must be {}, not {shown}", T::EXPECTED)
}

macro_rules! from_text {
    ($type:ty, $expected:literal, $read:expr) => {
        impl FromSetting for $type {
            const EXPECTED: &'static str = $expected;
            fn from_setting(value: &Value) -> Result<Self, String> {
                let read: fn(&str) -> Option<$type> = $read;
                value.as_str().and_then(read).ok_or_else(|| expected::<Self>(value))
            }
        }
    };
}

macro_rules! from_number {
    ($($type:ty),*) => {$(
        impl FromSetting for $type {
            const EXPECTED: &'static str = concat!("a whole number that fits ", stringify!($type));
            fn from_setting(value: &Value) -> Result<Self, String> {
                let number = match value {
                    Value::Integer(number) => <$type>::try_from(*number).ok(),
                    Value::String(text) => text.parse().ok(),
                    _ => None,
                };
                number.ok_or_else(|| expected::<Self>(value))
            }
        }
    )*};
}

from_number!(u16, u32, u64, usize, i64);

from_text!(String, "a text", |text| Some(text.to_owned()));
from_text!(PathBuf, "a path", |text| (!text.is_empty()).then(|| PathBuf::from(text)));
from_text!(SocketAddr, "an address and port such as \"127.0.0.1:8080\"", |text| text.parse().ok());
from_text!(Duration, "a duration such as \"250ms\", \"2s\", \"5m\" or \"1h\"", duration);

impl FromSetting for bool {
    const EXPECTED: &'static str = "true or false";
    fn from_setting(value: &Value) -> Result<Self, String> {
        value.as_bool().or_else(|| value.as_str()?.parse().ok()).ok_or_else(|| expected::<Self>(value))
    }
}

impl FromSetting for f64 {
    const EXPECTED: &'static str = "a number";
    fn from_setting(value: &Value) -> Result<Self, String> {
        let number = match value {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as Self),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.filter(|n| n.is_finite()).ok_or_else(|| expected::<Self>(value))
    }
}

/// A list; as text (from the environment or a flag) its items are separated by commas.
impl<T: FromSetting> FromSetting for Vec<T> {
    const EXPECTED: &'static str = "a list";
    fn from_setting(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(items) => items.iter().map(T::from_setting).collect(),
            Value::String(text) if text.is_empty() => Ok(Self::new()),
            Value::String(text) => text.split(',').map(|item| T::from_setting(&Value::String(item.trim().to_owned()))).collect(),
            other => Err(expected::<Self>(other)),
        }
    }
}

/// A size in bytes: a whole number, or a text with a unit of 1024 (`KiB`, `MiB`, `GiB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

impl ByteSize {
    /// So many MiB.
    pub const fn mib(count: usize) -> Self {
        Self(count << 20)
    }
}

impl FromSetting for ByteSize {
    const EXPECTED: &'static str = "a size such as 65536, \"512KiB\" or \"64MiB\"";
    fn from_setting(value: &Value) -> Result<Self, String> {
        let size = match value {
            Value::Integer(bytes) => usize::try_from(*bytes).ok(),
            Value::String(text) => byte_size(text),
            _ => None,
        };
        size.map(Self).ok_or_else(|| expected::<Self>(value))
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, text[digits..].trim()))
}

fn duration(text: &str) -> Option<Duration> {
    let (count, unit) = split_unit(text)?;
    match unit {
        "us" => Some(Duration::from_micros(count)),
        "ms" => Some(Duration::from_millis(count)),
        "s" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_secs(count.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(count.checked_mul(3600)?)),
        _ => None,
    }
}

fn byte_size(text: &str) -> Option<usize> {
    let (count, unit) = split_unit(text)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    usize::try_from(count).ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::String(value.into())
    }

    #[test]
    fn a_number_is_read_from_toml_and_from_the_environments_text() {
        assert_eq!(u16::from_setting(&Value::Integer(8080)), Ok(8080));
        assert_eq!(u16::from_setting(&text("8080")), Ok(8080));
        assert!(u16::from_setting(&Value::Integer(70_000)).is_err());
        assert!(u32::from_setting(&text("-1")).is_err());
    }

    #[test]
    fn durations_and_sizes_need_their_unit() {
        assert_eq!(Duration::from_setting(&text("250ms")), Ok(Duration::from_millis(250)));
        assert_eq!(Duration::from_setting(&text("2 m")), Ok(Duration::from_secs(120)));
        assert!(Duration::from_setting(&text("250")).is_err());
        assert!(Duration::from_setting(&Value::Integer(5)).is_err());
        assert_eq!(ByteSize::from_setting(&text("64MiB")), Ok(ByteSize::mib(64)));
        assert!(ByteSize::from_setting(&text("64MB")).is_err());
        assert!(ByteSize::from_setting(&text("99999999999GiB")).is_err());
    }

    #[test]
    fn a_list_is_an_array_or_a_text_with_commas() {
        assert_eq!(Vec::<u16>::from_setting(&text("1, 2")), Ok(vec![1, 2]));
        assert!(Vec::<u16>::from_setting(&text("1,x")).is_err());
    }
}

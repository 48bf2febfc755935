//! An event as it is kept.

use torchmesh_api::usage::v1::{Door, UsageEvent};
use torchmesh_billing::Usage;
use torchmesh_ledger::usage::{hex, uuid};

use crate::error::{Refusal, Result};

/// The door of lines of batches.
pub(crate) const BATCH: i64 = Door::Batch as i64;
/// A figure that is higher counts as this: so high is none, and sums of thousands of them still fit.
const HIGHEST: u64 = 1 << 48;
/// Texts that are longer are cut: four of them make a key of the sums, and PostgreSQL's have 2700 bytes at most.
const LONGEST: usize = 256;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `torchmesh.usage.v1.UsageEvent`")]
pub struct Event {
    pub id: String,
    pub time_ms: i64,
    pub tenant: String,
    pub credential: String,
    pub model: String,
    pub version: String,
    pub door: i64,
    pub method: String,
    pub code: i64,
    /// Prompt, cached and completion tokens, items, audio, bytes in and out, compute time.
    pub units: [i64; 8],
    pub request_id: String,
    pub trace_id: String,
    pub source: String,
    pub duration_us: i64,
    /// Not among what is kept of each.
    pub from_cache: bool,
}

impl Event {
    /// Reads what a gateway sent. What is odd is made to fit: a gateway sends an event that is refused for ever, and all behind it would wait.
    ///
    /// Error: the id is none.
    pub fn read(event: &UsageEvent) -> Result<Self> {
        if event.id.len() != 16 {
            return Err(Refusal::Invalid(format!("events.id: must have 16 bytes, not {}", event.id.len())));
        }
        let units = event.units.unwrap_or_default();
        let units = [
            units.prompt_tokens,
            units.cached_tokens,
            units.completion_tokens,
            units.items,
            units.audio_ms,
            units.bytes_in,
            units.bytes_out,
            units.compute_us,
        ];
        Ok(Self {
            id: uuid(&event.id),
            time_ms: figure(event.time_unix_ms),
            tenant: text(&event.tenant),
            credential: text(&event.credential),
            model: text(&event.model),
            version: text(&event.model_version),
            door: event.door.into(),
            method: text(&event.method),
            code: event.code.into(),
            units: units.map(figure),
            request_id: text(&event.request_id),
            trace_id: hex(event.trace_id.get(..16).unwrap_or(&event.trace_id)),
            source: text(&event.source_address),
            duration_us: figure(event.duration_us),
            from_cache: event.from_cache,
        })
    }
}

impl Event {
    /// Whether it is paid for: it called a model, and was answered, or cut when something had been passed on.
    pub fn is_paid_for(&self) -> bool {
        let [prompt, cached, completion, items, audio, _, _, compute] = self.units.map(i64::unsigned_abs);
        let used = Usage {
            calls: 1,
            prompt_tokens: prompt,
            cached_tokens: cached,
            completion_tokens: completion,
            items,
            audio_ms: audio,
            compute_us: compute,
        };
        !self.model.is_empty() && !used.to_pay(u32::try_from(self.code).unwrap_or(u32::MAX)).is_nothing()
    }

    /// Whether it was a line of a batch, which may have a price of its own.
    pub(super) fn is_batched(&self) -> bool {
        self.door == BATCH
    }

    /// Its units, no more of them cached than were read.
    pub(super) fn units_to_pay(&self) -> [i64; 8] {
        let mut units = self.units;
        units[1] = units[1].min(units[0]);
        units
    }
}

fn figure(told: u64) -> i64 {
    told.min(HIGHEST).cast_signed()
}

/// PostgreSQL keeps no NUL in a text.
fn text(told: &str) -> String {
    let mut end = told.len().min(LONGEST);
    while !told.is_char_boundary(end) {
        end -= 1;
    }
    told[..end].replace('\0', "?")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_said_fits_the_tables(told in any::<String>(), more in "[aé\0]{500,600}", high: u64) {
            let event = UsageEvent { id: vec![1; 16], method: told + &more, time_unix_ms: high, duration_us: high, ..Default::default() };
            let read = Event::read(&event).unwrap();
            prop_assert!(read.method.len() <= LONGEST && !read.method.contains('\0'));
            prop_assert!(read.time_ms >= 0 && read.duration_us >= 0 && read.time_ms <= 1 << 48);
        }
    }

    #[test]
    fn an_event_without_an_id_is_refused() {
        assert!(matches!(Event::read(&UsageEvent::default()), Err(Refusal::Invalid(message)) if message.contains("16 bytes")));
    }
}

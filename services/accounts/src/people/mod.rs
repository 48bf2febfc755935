//! The members of tenants: how they come, sign in, and go.

mod attempts;
mod challenge;
mod ended;
mod letters;
mod members;
mod password;
pub mod second_factor;
mod sign_in;
mod sign_up;
mod sweep;

pub(crate) use attempts::subjects as subjects_of_attempts;
pub use challenge::complete;
pub(crate) use ended::remove_ended;
pub use letters::{MailSettings, Outbox};
pub use members::{Member, find, find_named, list, update};
pub(crate) use members::{by_address, by_id, is_last_owner};
pub use password::Passwords;
pub(crate) use sign_in::begin;
pub use sign_in::{Session, SignedIn, sign_in, sign_out};
pub use sign_up::{NewMember, NewTenant, invite, request_reset, reset, sign_up, verify};
pub(crate) use sign_up::{add, confirm};
pub(crate) use sweep::recipient;

use crate::error::{Refusal, Result};

/// An address as it is kept: in lower case, with one `@` and no blanks. More about an address knows only whoever gets letters there.
pub(crate) fn address(told: &str) -> Result<String> {
    let wrong = || Refusal::Invalid("email: must be an address such as ada@example.org".to_owned());
    let text = told.trim().to_lowercase();
    let (name, host) = text.split_once('@').ok_or_else(wrong)?;
    let plain = text.len() <= 254 && !text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;:\"()[]\\".contains(c));
    // Whoever sends mail must be able to write it.
    if name.is_empty() || host.is_empty() || host.contains('@') || !plain || text.parse::<lettre::Address>().is_err() {
        return Err(wrong());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_in_one_form_and_cannot_write_a_letters_head() {
        assert_eq!(address(" Ada@Example.ORG ").unwrap(), "ada@example.org");
        for wrong in
            ["", "ada", "@x", "a@", "a@b@c", "a@b\nBcc: all@x", "a b@c", "a@b,c@d", "a@-b-", "a@b..c", &format!("{}@x", "a".repeat(260))]
        {
            assert!(address(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}

//! Ids of events and of rows: UUIDs of version 7 (RFC 9562, section 5.7), which sort by their time.

/// An id of this millisecond, from random bits.
pub fn new(unix_ms: u64, random: u128) -> [u8; 16] {
    let mut id = random.to_be_bytes();
    id[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
    id[6] = 0x70 | (id[6] & 0x0f);
    id[8] = 0x80 | (id[8] & 0x3f);
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::uuid;

    #[test]
    fn it_has_the_form_of_the_rfcs_example() {
        let id = new(0x017f_22e2_79b0, 0x0000_0000_0000_7cc3_98c4_dc0c_0c07_398f);
        assert_eq!(uuid(&id), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        assert_eq!(uuid(&new(0, u128::MAX)), "00000000-0000-7fff-bfff-ffffffffffff");
    }
}

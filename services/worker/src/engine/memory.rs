//! Giving memory back.

/// Gives the memory of engines that are gone back to the system: libtorch's weights come from the C library, which keeps what is freed.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "the C library has no other way to be told")]
    // SAFETY: it takes a number and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

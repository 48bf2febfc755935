//! Giving memory back.
#![expect(unsafe_code, reason = "neither allocator has another way to be told")]

// The program's allocator; its crate has no call for what is needed here.
use mimalloc as _;

unsafe extern "C" {
    fn mi_collect(force: bool);
}

/// Gives the memory of engines that are gone, and of what was read to load one, back to the system at once. libtorch's weights come from the C
/// library, which keeps what is freed; our own kernels' weights and files that were read come from mimalloc, which gives back only when it is asked
/// for more.
pub fn give_memory_back() {
    // SAFETY: it touches only what is free, and takes the locks that it needs.
    unsafe { mi_collect(true) };
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

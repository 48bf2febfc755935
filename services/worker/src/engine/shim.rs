//! What every part in C++ answers with.
#![expect(unsafe_code, reason = "takes over a message that C++ made")]

use std::ffi::{CStr, c_char};

use tch::TchError;

/// What a function of a shim said, if it said anything.
///
/// # Safety
///
/// `error` is null, or a NUL-terminated string made by `strdup` that nobody else has.
pub(super) unsafe fn said(error: *mut c_char) -> Result<(), TchError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: as the caller says.
    let text = unsafe {
        let text = CStr::from_ptr(error).to_string_lossy().into_owned();
        libc::free(error.cast());
        text
    };
    Err(TchError::Torch(text))
}

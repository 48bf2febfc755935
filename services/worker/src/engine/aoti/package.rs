//! The binding to `package.cpp`.
#![expect(unsafe_code, reason = "calls into package.cpp; each call says why it is sound")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    ptr::NonNull,
};

use tch::{TchError, Tensor};

use crate::engine::shim::said;

/// The most outputs that a package may have.
const MAX_OUTPUTS: usize = 64;

unsafe extern "C" {
    fn torchmesh_torch_version() -> *const c_char;
    fn torchmesh_package_open(path: *const c_char, device: c_int, out: *mut *mut c_void) -> *mut c_char;
    fn torchmesh_package_run(
        package: *mut c_void,
        inputs: *const *const c_void,
        count: usize,
        outputs: *mut *mut c_void,
        room: usize,
        returned: *mut usize,
    ) -> *mut c_char;
    fn torchmesh_package_close(package: *mut c_void);
}

/// The version of libtorch that this program was built against, such as `2.11.0`.
pub(super) fn torch_version() -> &'static str {
    // SAFETY: a NUL-terminated literal that lives as long as the program.
    unsafe { CStr::from_ptr(torchmesh_torch_version()) }.to_str().unwrap_or_default()
}

/// A package that is loaded: its code is in this process, its weights are where they run.
pub(super) struct Package(NonNull<c_void>);

// SAFETY: the loader may be used from any thread, by one at a time, which `&mut` and the lack of `Sync` see to.
unsafe impl Send for Package {}

impl Package {
    /// Unpacks the file and loads the library in it: whatever code is inside runs with this process's rights.
    pub(super) fn open(path: &Path, device: tch::Device) -> Result<Self, TchError> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|error| TchError::Torch(error.to_string()))?;
        let index = match device {
            tch::Device::Cuda(index) => c_int::try_from(index).unwrap_or(-1),
            _ => -1,
        };
        let mut out = std::ptr::null_mut();
        // SAFETY: the path is NUL-terminated and lives through the call, and `out` takes one pointer.
        unsafe { said(torchmesh_package_open(path.as_ptr(), index, &raw mut out)) }?;
        NonNull::new(out).map(Self).ok_or_else(|| TchError::Torch("the package did not open".to_owned()))
    }

    /// One forward. The code in the package believes the shapes it is given: they must have been checked.
    pub(super) fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
        let given: Vec<*const c_void> = inputs.iter().map(|input| input.as_ptr().cast()).collect();
        let mut outputs = [std::ptr::null_mut(); MAX_OUTPUTS];
        let mut returned = 0;
        // SAFETY: the package is open, `given` holds as many tensors as are said, which live through the call, and `outputs` has the room
        // that is said.
        unsafe {
            said(torchmesh_package_run(self.0.as_ptr(), given.as_ptr(), given.len(), outputs.as_mut_ptr(), MAX_OUTPUTS, &raw mut returned))
        }?;
        // SAFETY: without an error the first `returned` pointers are tensors made by `new`, and nobody else has them.
        Ok(outputs[..returned].iter().map(|output| unsafe { Tensor::from_ptr(output.cast()) }).collect())
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        // SAFETY: it was opened, and this is the only and last use of it.
        unsafe { torchmesh_package_close(self.0.as_ptr()) }
    }
}

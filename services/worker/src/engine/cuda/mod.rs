//! Finding the GPU, and what the binding lacks to make good use of it.

mod program;

use std::sync::OnceLock;

pub(super) use self::program::{Argument, Function, Graph, Pool, Program, Stream, fetch, outside, send};
use super::{Device, EngineError};

static AVAILABLE: OnceLock<bool> = OnceLock::new();

/// Whether anybody has asked for a GPU, and there is one.
pub(super) fn was_used() -> bool {
    AVAILABLE.get() == Some(&true)
}

/// Whether libtorch's CUDA half is installed and sees a GPU.
///
/// The first call opens the CUDA half when it lies beside the CPU half, so that one program serves machines with and without a
/// GPU. It must come before any other use of libtorch, which looks for its CUDA half once and remembers the answer.
pub fn cuda_available() -> bool {
    *AVAILABLE.get_or_init(|| {
        open_cuda_library();
        tch::Cuda::is_available()
    })
}

/// The libtorch device for `device`.
pub(super) fn resolve(device: Device) -> Result<tch::Device, EngineError> {
    let gpus = if cuda_available() { usize::try_from(tch::Cuda::device_count()).unwrap_or(0) } else { 0 };
    match device {
        Device::Auto if gpus > 0 => Ok(tch::Device::Cuda(0)),
        Device::Auto | Device::Cpu => Ok(tch::Device::Cpu),
        Device::Cuda(index) if index < gpus => Ok(tch::Device::Cuda(index)),
        Device::Cuda(_) => Err(EngineError::DeviceUnavailable { device }),
    }
}

/// Opens libtorch's CUDA half, which registers itself. Not finding it is the usual case on a machine without a GPU.
#[expect(unsafe_code, reason = "the library has to be opened at run time: linking it would make a GPU installation compulsory")]
fn open_cuda_library() {
    // SAFETY: the name is a NUL-terminated literal; the library is found through this program's own rpath, so it is the CUDA half of
    // the very libtorch that the program is linked to; its initialisers only register kernels; it is never closed.
    unsafe {
        libc::dlopen(c"libtorch_cuda.so".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
    }
}

//! Streams, graphs and programs of a GPU: the binding to `device.cpp`.
#![expect(unsafe_code, reason = "calls into device.cpp; each call says why it is sound")]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    ptr::NonNull,
};

use parking_lot::{Mutex, ReentrantMutex};
use tch::{TchError, Tensor};

use crate::engine::shim::said;

unsafe extern "C" {
    fn torchmesh_cuda_stream(device: c_int, id: *mut i64) -> *mut c_char;
    fn torchmesh_cuda_enter(device: c_int, id: i64, before: *mut i64) -> *mut c_char;
    fn torchmesh_cuda_wait(device: c_int) -> *mut c_char;
    fn torchmesh_cuda_fetch(from: *const c_void, out: *mut *mut c_void) -> *mut c_char;
    fn torchmesh_cuda_outside(like: *const c_void, out: *mut *mut c_void) -> *mut c_char;
    fn torchmesh_cuda_send(from: *const c_void, to: *const c_void) -> *mut c_char;
    fn torchmesh_cuda_facts(device: c_int, multiprocessors: *mut c_int, major: *mut c_int) -> *mut c_char;
    fn torchmesh_cuda_compile(
        device: c_int,
        source: *const c_char,
        options: *const *const c_char,
        count: c_int,
        module: *mut *mut c_void,
    ) -> *mut c_char;
    fn torchmesh_cuda_unload(module: *mut c_void);
    fn torchmesh_cuda_function(module: *mut c_void, name: *const c_char, function: *mut *mut c_void) -> *mut c_char;
    fn torchmesh_cuda_launch(
        device: c_int,
        function: *mut c_void,
        grid: *const u32,
        threads: u32,
        early: c_int,
        arguments: *mut *mut c_void,
    ) -> *mut c_char;
    fn torchmesh_cuda_pool(first: *mut u64, second: *mut u64) -> *mut c_char;
    fn torchmesh_cuda_record(first: u64, second: u64, graph: *mut *mut c_void) -> *mut c_char;
    fn torchmesh_cuda_recorded(graph: *mut c_void) -> *mut c_char;
    fn torchmesh_cuda_replay(graph: *mut c_void) -> *mut c_char;
    fn torchmesh_cuda_forget(graph: *mut c_void);
}

/// Streams that somebody has, by device and number. libtorch hands out a few in turn, and who records on one must not find another's work there.
static TAKEN: Mutex<Vec<(c_int, i64)>> = Mutex::new(Vec::new());

/// libtorch's, of a device.
const STREAMS: usize = 32;

/// Held while a graph is recorded or forgotten: libtorch keeps both in lists of the process, without a lock. A record that fails forgets its graph.
static RECORDING: ReentrantMutex<()> = ReentrantMutex::new(());

/// A stream of a GPU: what is started on it is done in that order.
#[derive(Debug)]
pub(in crate::engine) struct Stream {
    device: c_int,
    id: i64,
}

/// This thread works on a stream, until this is dropped.
#[derive(Debug)]
pub(in crate::engine) struct Entered {
    device: c_int,
    before: i64,
}

impl Stream {
    /// One of libtorch's that nobody else has from here.
    pub(in crate::engine) fn new(device: usize) -> Result<Self, TchError> {
        let (device, mut id) = (index(device), 0);
        let mut taken = TAKEN.lock();
        for _ in 0..STREAMS {
            // SAFETY: `id` takes one number.
            unsafe { said(torchmesh_cuda_stream(device, &raw mut id)) }?;
            if !taken.contains(&(device, id)) {
                taken.push((device, id));
                return Ok(Self { device, id });
            }
        }
        Err(TchError::Torch(format!("all {STREAMS} streams of the device are taken")))
    }

    /// What this thread starts from now on goes here.
    pub(in crate::engine) fn enter(&self) -> Result<Entered, TchError> {
        let mut entered = Entered { device: self.device, before: 0 };
        // SAFETY: the stream is one of the device's, and `before` takes one number.
        unsafe { said(torchmesh_cuda_enter(self.device, self.id, &raw mut entered.before)) }?;
        Ok(entered)
    }

    /// Waits for what this thread has started on the stream that it is on, which need not be this one.
    pub(in crate::engine) fn wait_for_the_present_one(&self) -> Result<(), TchError> {
        // SAFETY: it takes a number.
        unsafe { said(torchmesh_cuda_wait(self.device)) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        TAKEN.lock().retain(|taken| *taken != (self.device, self.id));
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut left = 0;
        // SAFETY: the thread was on that stream before, so it is one of the device's; `left` takes one number.
        if let Err(error) = unsafe { said(torchmesh_cuda_enter(self.device, self.before, &raw mut left)) } {
            tracing::error!(error = error.to_string(), "a thread did not come back to its stream");
        }
    }
}

/// A copy of a GPU's tensor on this side, in memory that the GPU writes itself: several times as fast as any other.
pub(in crate::engine) fn fetch(tensor: &Tensor) -> Result<Tensor, TchError> {
    handed_out(|out| {
        // SAFETY: the tensor lives through the call, and `out` takes one pointer.
        unsafe { torchmesh_cuda_fetch(tensor.as_ptr().cast(), out) }
    })
}

/// Memory on this side that the GPU reads itself, as large as `like`; what is in it is anything.
pub(in crate::engine) fn outside(like: &Tensor) -> Result<Tensor, TchError> {
    handed_out(|out| {
        // SAFETY: the tensor lives through the call, and `out` takes one pointer.
        unsafe { torchmesh_cuda_outside(like.as_ptr().cast(), out) }
    })
}

/// Sends what lies in such memory to a tensor of a GPU that is as large, in the order of this thread's stream, and does not wait.
pub(in crate::engine) fn send(from: &Tensor, to: &Tensor) -> Result<(), TchError> {
    // SAFETY: both live through the call; libtorch keeps memory that is being read from until it is.
    unsafe { said(torchmesh_cuda_send(from.as_ptr().cast(), to.as_ptr().cast())) }
}

fn handed_out(ask: impl FnOnce(*mut *mut c_void) -> *mut c_char) -> Result<Tensor, TchError> {
    let mut out = std::ptr::null_mut();
    let error = ask(&raw mut out);
    // SAFETY: device.cpp makes its errors by `strdup`, and hands them out.
    unsafe { said(error) }?;
    // SAFETY: without an error `out` is a tensor made by `new`, and nobody else has it.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}

/// Functions that were compiled for a GPU when they were needed.
#[derive(Debug)]
pub(in crate::engine) struct Program {
    device: c_int,
    module: NonNull<c_void>,
    /// Multiprocessors of the device.
    pub(in crate::engine) multiprocessors: usize,
    /// Whether the device can start a function before what is in front of it is done.
    overlaps: bool,
}

/// One of a program's functions, which may be started as long as the program is there.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Function {
    device: c_int,
    address: NonNull<c_void>,
    /// It may start before what is in front of it is done, and waits itself.
    early: bool,
}

/// What a function is given.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum Argument<'a> {
    /// Where a tensor lies.
    At(&'a Tensor),
    /// Nowhere.
    Nowhere,
    /// An `int`.
    Int(i32),
    /// A `long long`.
    Long(i64),
    /// A `float`.
    Float(f32),
}

// SAFETY: a module belongs to the device's context and not to a thread.
unsafe impl Send for Program {}
// SAFETY: as the module that it is in.
unsafe impl Send for Function {}

impl Program {
    /// Compiles `source`: a second or so. The error holds what the compiler said.
    pub(in crate::engine) fn compile(device: usize, source: &CStr, options: &[String]) -> Result<Self, TchError> {
        let options: Vec<CString> = options.iter().filter_map(|option| CString::new(option.as_str()).ok()).collect();
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let (device, mut module, mut multiprocessors, mut major) = (index(device), std::ptr::null_mut(), 0, 0);
        let count = c_int::try_from(pointers.len()).unwrap_or(c_int::MAX);
        // SAFETY: source and options are NUL-terminated and live through the calls, which take as many options as are said; the others take one value each.
        unsafe {
            said(torchmesh_cuda_facts(device, &raw mut multiprocessors, &raw mut major))?;
            said(torchmesh_cuda_compile(device, source.as_ptr(), pointers.as_ptr(), count, &raw mut module))?;
        }
        let module = NonNull::new(module).ok_or_else(|| TchError::Torch("the program did not load".to_owned()))?;
        // Hopper's.
        Ok(Self { device, module, multiprocessors: usize::try_from(multiprocessors).unwrap_or(1), overlaps: major >= 9 })
    }

    /// The function of that name. It is one that waits itself for what is in front of it.
    pub(in crate::engine) fn function(&self, name: &CStr) -> Result<Function, TchError> {
        let mut function = std::ptr::null_mut();
        // SAFETY: the module is loaded, the name is NUL-terminated, and `function` takes one pointer.
        unsafe { said(torchmesh_cuda_function(self.module.as_ptr(), name.as_ptr(), &raw mut function)) }?;
        let function = NonNull::new(function).ok_or_else(|| TchError::Torch(format!("{name:?} is missing")))?;
        Ok(Function { device: self.device, address: function, early: self.overlaps })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: it is loaded, and this is the last use of it.
        unsafe { torchmesh_cuda_unload(self.module.as_ptr()) }
    }
}

impl Function {
    /// Starts `grid` blocks of so many threads on this thread's stream.
    ///
    /// # Safety
    ///
    /// The program is there, the arguments are those that the function takes, and what it reads and writes lies in the tensors, until it is done.
    pub(in crate::engine) unsafe fn launch(&self, grid: [usize; 3], threads: usize, arguments: &[Argument<'_>]) -> Result<(), TchError> {
        // Each lies in eight bytes, of which a shorter one is the first four.
        let mut values: Vec<u64> = arguments.iter().map(Argument::bits).collect();
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let grid = grid.map(|blocks| u32::try_from(blocks).unwrap_or(u32::MAX));
        // SAFETY: the caller vouches for the arguments, which the call copies; `grid` holds three numbers.
        unsafe {
            said(torchmesh_cuda_launch(
                self.device,
                self.address.as_ptr(),
                grid.as_ptr(),
                threads as u32,
                c_int::from(self.early),
                pointers.as_mut_ptr(),
            ))
        }
    }
}

impl Argument<'_> {
    fn bits(&self) -> u64 {
        match self {
            Self::At(tensor) => tensor.data_ptr() as u64,
            Self::Nowhere => 0,
            Self::Int(value) => u64::from(value.cast_unsigned()),
            Self::Long(value) => value.cast_unsigned(),
            Self::Float(value) => u64::from(value.to_bits()),
        }
    }
}

/// Memory that several graphs use in turn.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Pool(u64, u64);

impl Pool {
    pub(in crate::engine) fn new() -> Result<Self, TchError> {
        let mut pool = Self(0, 0);
        // SAFETY: each takes one number.
        unsafe { said(torchmesh_cuda_pool(&raw mut pool.0, &raw mut pool.1)) }?;
        Ok(pool)
    }
}

/// Work that was written down once and can be done again in one launch, on the same memory.
#[derive(Debug)]
pub(in crate::engine) struct Graph(NonNull<c_void>);

// SAFETY: it belongs to the device, and is used by one thread at a time, which the lack of `Sync` sees to.
unsafe impl Send for Graph {}

impl Graph {
    /// Writes down what `work` starts on this thread's stream, which is not the default one; it is not done. `work` may not wait for the GPU. The memory
    /// that it takes stays the pool's; what it uses from elsewhere has to stay where it is.
    pub(in crate::engine) fn record(pool: Pool, work: impl FnOnce() -> Result<(), TchError>) -> Result<Self, TchError> {
        let _alone = RECORDING.lock();
        let mut graph = std::ptr::null_mut();
        // SAFETY: `graph` takes one pointer.
        let begun = unsafe { said(torchmesh_cuda_record(pool.0, pool.1, &raw mut graph)) };
        let Some(graph) = NonNull::new(graph).map(Self) else {
            return Err(begun.err().unwrap_or_else(|| TchError::Torch("there is no graph".to_owned())));
        };
        let worked = begun.and_then(|()| work());
        // SAFETY: it is being recorded. Also after a failure: or else the stream would stay as it is.
        if let Err(error) = unsafe { said(torchmesh_cuda_recorded(graph.0.as_ptr())) } {
            // libtorch's allocators still ask it which memory is its own.
            std::mem::forget(graph);
            return worked.and(Err(error));
        }
        worked.map(|()| graph)
    }

    /// Does it on this thread's stream.
    ///
    /// # Safety
    ///
    /// All memory that was used while it was recorded, and is not the pool's, is still there, and so are the programs.
    pub(in crate::engine) unsafe fn replay(&self) -> Result<(), TchError> {
        // SAFETY: it was recorded, and the caller vouches for the memory.
        unsafe { said(torchmesh_cuda_replay(self.0.as_ptr())) }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        let _alone = RECORDING.lock();
        // SAFETY: it was made, and this is the last use of it.
        unsafe { torchmesh_cuda_forget(self.0.as_ptr()) }
    }
}

fn index(device: usize) -> c_int {
    c_int::try_from(device).unwrap_or(-1)
}

// Streams, graphs and programs of a GPU, which torch-sys has no binding for.
//
// Nothing of CUDA is linked, and none of its headers is needed: this program runs on machines that have neither. What libtorch's CPU half declares, such as
// streams, is called; the rest is looked up by name in the libraries that its CUDA half has brought along. Names of C++ are those of the one version of
// libtorch that this program is built for.
//
// Functions that can fail answer nullptr, or a message that the caller frees with free().

#include <ATen/ATen.h>
#include <c10/core/Device.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include "../shim.h"

namespace {

using Guard = c10::impl::VirtualGuardImpl;
// std::pair<unsigned long long, unsigned long long>, as c10::MempoolId_t.
using Pool = std::pair<unsigned long long, unsigned long long>;

// Larger and stricter than any at::cuda::CUDAGraph of this version, whose header wants CUDA's.
struct alignas(64) GraphRoom {
  char bytes[4096];
};

// cudaStreamCaptureModeThreadLocal: what other threads do on the GPU meanwhile is their own.
constexpr int kOfThisThread = 1;
// CU_DEVICE_ATTRIBUTE_…
constexpr int kMajor = 75, kMinor = 76, kMultiprocessors = 16;
// CU_LAUNCH_ATTRIBUTE_…
constexpr int kProgrammaticStreamSerialization = 6;

// CUlaunchAttribute and CUlaunchConfig, as the driver's interface has had them since CUDA 12.0.
struct LaunchAttribute {
  int id;
  char padding[4];
  union {
    char room[64];
    int allowed;
  } value;
};
struct LaunchConfig {
  unsigned grid[3], block[3], shared_bytes;
  void* stream;
  LaunchAttribute* attributes;
  unsigned count;
};

// Libraries stay open: what is found in them lives as long as the process.
void* opened(const char* name) {
  void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error(std::string(name) + " does not open: " + dlerror());
  return library;
}

template <typename Function>
Function* found(void* library, const char* name) {
  void* symbol = dlsym(library, name);
  if (!symbol) throw std::runtime_error(std::string(name) + " is missing");
  return reinterpret_cast<Function*>(symbol);
}

void* torch_cuda() {
  static void* const library = opened("libtorch_cuda.so");
  return library;
}

// It needs the compiler and the driver, and so names of both are found in it.
void* compiler() {
  static void* const library = opened("libcaffe2_nvrtc.so");
  return library;
}

void driver_said(int code, const char* what) {
  if (code == 0) return;
  const char* text = nullptr;
  found<int(int, const char**)>(compiler(), "cuGetErrorString")(code, &text);
  throw std::runtime_error(std::string(what) + " failed: " + (text ? text : "an unknown error of CUDA"));
}

c10::Device gpu(int index) { return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index)); }

c10::Stream stream_of(int device, int64_t id) { return c10::Stream(c10::Stream::UNSAFE, gpu(device), id); }

int attribute(int device, int which) {
  int handle = 0, value = 0;
  driver_said(found<int(int*, int)>(compiler(), "cuDeviceGet")(&handle, device), "cuDeviceGet");
  driver_said(found<int(int*, int, int)>(compiler(), "cuDeviceGetAttribute")(&value, which, handle), "cuDeviceGetAttribute");
  return value;
}

struct Program {
  void* handle = nullptr;
  ~Program() { found<int(void**)>(compiler(), "nvrtcDestroyProgram")(&handle); }
};

std::string compiled(const char* source, const char* const* options, int count) {
  Program program;
  const auto said = [](int code, const std::string& what) {
    if (code) throw std::runtime_error(what + ": " + found<const char*(int)>(compiler(), "nvrtcGetErrorString")(code));
  };
  using Create = int(void**, const char*, const char*, int, const char* const*, const char* const*);
  said(found<Create>(compiler(), "nvrtcCreateProgram")(&program.handle, source, "kernels.cu", 0, nullptr, nullptr), "nvrtcCreateProgram");
  const int code = found<int(void*, int, const char* const*)>(compiler(), "nvrtcCompileProgram")(program.handle, count, options);
  if (code) {
    size_t size = 0;
    found<int(void*, size_t*)>(compiler(), "nvrtcGetProgramLogSize")(program.handle, &size);
    std::string log(size, '\0');
    found<int(void*, char*)>(compiler(), "nvrtcGetProgramLog")(program.handle, log.data());
    said(code, log);
  }
  size_t size = 0;
  said(found<int(void*, size_t*)>(compiler(), "nvrtcGetCUBINSize")(program.handle, &size), "nvrtcGetCUBINSize");
  std::string binary(size, '\0');
  said(found<int(void*, char*)>(compiler(), "nvrtcGetCUBIN")(program.handle, binary.data()), "nvrtcGetCUBIN");
  return binary;
}

}  // namespace

// A stream of libtorch's pool.
extern "C" char* torchmesh_cuda_stream(int device, int64_t* id) {
  return guarded([&] { *id = Guard(c10::kCUDA).getStreamFromGlobalPool(gpu(device), false).id(); });
}

// What this thread starts from now on goes to that stream, and to its device. `before` is where it went.
extern "C" char* torchmesh_cuda_enter(int device, int64_t id, int64_t* before) {
  return guarded([&] {
    const Guard guard(c10::kCUDA);
    guard.setDevice(gpu(device));
    *before = guard.exchangeStream(stream_of(device, id)).id();
  });
}

// Waits for what this thread has started on the stream that it is on. Not for the whole device: that may not be while anybody records.
extern "C" char* torchmesh_cuda_wait(int device) {
  return guarded([&] {
    const Guard guard(c10::kCUDA);
    guard.synchronizeStream(guard.getStream(gpu(device)));
  });
}

// A copy on this side of the device, in memory that the device writes itself: several times as fast. It is there when this returns.
extern "C" char* torchmesh_cuda_fetch(const at::Tensor* from, at::Tensor** out) {
  return guarded([&] {
    auto host = at::empty(from->sizes(), from->options().device(c10::kCPU).pinned_memory(true));
    host.copy_(*from);
    *out = new at::Tensor(std::move(host));
  });
}

// Memory on this side that the device reads itself, as large as `like`.
extern "C" char* torchmesh_cuda_outside(const at::Tensor* like, at::Tensor** out) {
  return guarded([&] { *out = new at::Tensor(at::empty(like->sizes(), like->options().device(c10::kCPU).pinned_memory(true))); });
}

// Sends what lies in such memory, and does not wait for it.
extern "C" char* torchmesh_cuda_send(const at::Tensor* from, const at::Tensor* to) {
  return guarded([&] { to->copy_(*from, true); });
}

// Multiprocessors, and the larger number of what the device can do, such as 9.
extern "C" char* torchmesh_cuda_facts(int device, int* multiprocessors, int* major) {
  return guarded([&] {
    *multiprocessors = attribute(device, kMultiprocessors);
    *major = attribute(device, kMajor);
  });
}

// Compiles a program for the device, on which it lives as long as the process.
extern "C" char* torchmesh_cuda_compile(int device, const char* source, const char* const* options, int count, void** module) {
  return guarded([&] {
    // A module is loaded for the device that the thread is on.
    const c10::DeviceGuard on(gpu(device));
    const std::string architecture =
        "--gpu-architecture=sm_" + std::to_string(attribute(device, kMajor)) + std::to_string(attribute(device, kMinor));
    std::unique_ptr<const char*[]> all(new const char*[count + 1]);
    all[0] = architecture.c_str();
    for (int i = 0; i < count; i++) all[i + 1] = options[i];
    const std::string binary = compiled(source, all.get(), count + 1);
    driver_said(found<int(void**, const void*)>(compiler(), "cuModuleLoadData")(module, binary.data()), "cuModuleLoadData");
  });
}

extern "C" void torchmesh_cuda_unload(void* module) {
  free(guarded([&] { found<int(void*)>(compiler(), "cuModuleUnload")(module); }));
}

extern "C" char* torchmesh_cuda_function(void* module, const char* name, void** function) {
  return guarded([&] { driver_said(found<int(void**, void*, const char*)>(compiler(), "cuModuleGetFunction")(function, module, name), name); });
}

// Starts a function on the stream that this thread is on; where it is `early`, before what is in front of it is done, which it then waits for itself. The caller
// vouches for the arguments.
extern "C" char* torchmesh_cuda_launch(int device, void* function, const unsigned* grid, unsigned threads, int early, void** arguments) {
  return guarded([&] {
    static auto* const launch = found<int(const LaunchConfig*, void*, void**, void**)>(compiler(), "cuLaunchKernelEx");
    const Guard guard(c10::kCUDA);
    LaunchAttribute attribute{kProgrammaticStreamSerialization, {}, {}};
    attribute.value.allowed = 1;
    LaunchConfig config{};
    for (int i = 0; i < 3; i++) config.grid[i] = grid[i];
    config.block[0] = threads, config.block[1] = config.block[2] = 1;
    config.stream = guard.getStreamNativeHandle(guard.getStream(gpu(device)));
    config.attributes = &attribute;
    config.count = early ? 1 : 0;
    driver_said(launch(&config, function, arguments, nullptr), "cuLaunchKernelEx");
  });
}

// Memory that graphs share, of which one runs at a time.
extern "C" char* torchmesh_cuda_pool(unsigned long long* first, unsigned long long* second) {
  return guarded([&] { std::tie(*first, *second) = found<Pool()>(torch_cuda(), "_ZN2at4cuda17graph_pool_handleEv")(); });
}

// Begins to write down what this thread starts on its stream, instead of doing it.
extern "C" char* torchmesh_cuda_record(unsigned long long first, unsigned long long second, void** graph) {
  return guarded([&] {
    auto room = std::make_unique<GraphRoom>();
    found<void(void*, bool)>(torch_cuda(), "_ZN2at4cuda9CUDAGraphC1Eb")(room.get(), false);
    *graph = room.release();
    using Begin = void(void*, Pool, int);
    found<Begin>(torch_cuda(), "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode")(*graph, {first, second}, kOfThisThread);
  });
}

extern "C" char* torchmesh_cuda_recorded(void* graph) {
  return guarded([&] { found<void(void*)>(torch_cuda(), "_ZN2at4cuda9CUDAGraph11capture_endEv")(graph); });
}

extern "C" char* torchmesh_cuda_replay(void* graph) {
  return guarded([&] {
    static auto* const replay = found<void(void*)>(torch_cuda(), "_ZN2at4cuda9CUDAGraph6replayEv");
    replay(graph);
  });
}

extern "C" void torchmesh_cuda_forget(void* graph) {
  free(guarded([&] {
    found<void(void*)>(torch_cuda(), "_ZN2at4cuda9CUDAGraphD1Ev")(graph);
    delete static_cast<GraphRoom*>(graph);
  }));
}

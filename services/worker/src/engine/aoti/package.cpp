// Packages that AOTInductor compiled, loaded and run without Python.
//
// Functions answer nullptr, or a message that the caller frees with free(). Tensors cross as pointers to at::Tensor, which is what torch-sys
// calls a tensor; a pointer that is handed out is the caller's.

#include <ATen/Tensor.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/version.h>

#include <stdexcept>
#include <vector>

#include "../shim.h"

using torch::inductor::AOTIModelPackageLoader;

extern "C" const char* torchmesh_torch_version() { return TORCH_VERSION; }

extern "C" char* torchmesh_package_open(const char* path, int device, AOTIModelPackageLoader** out) {
  return guarded([&] { *out = new AOTIModelPackageLoader(path, "model", false, 1, static_cast<c10::DeviceIndex>(device)); });
}

extern "C" char* torchmesh_package_run(AOTIModelPackageLoader* package, at::Tensor* const* inputs, size_t count, at::Tensor** outputs,
                                       size_t room, size_t* returned) {
  return guarded([&] {
    std::vector<at::Tensor> given;
    given.reserve(count);
    for (size_t at = 0; at < count; ++at) given.push_back(*inputs[at]);
    auto answer = package->boxed_run(std::move(given));
    if (answer.size() > room) throw std::length_error("the package returned more outputs than there is room for");
    for (size_t at = 0; at < answer.size(); ++at) outputs[at] = new at::Tensor(std::move(answer[at]));
    *returned = answer.size();
  });
}

extern "C" void torchmesh_package_close(AOTIModelPackageLoader* package) { delete package; }

// oneDNN's linear layer with weights packed beforehand: ATen operators that torch-sys has no binding for.
//
// Every function answers nullptr, or a message that the caller frees with free(). Tensors cross as pointers to at::Tensor, which is what
// torch-sys calls a tensor; a pointer that is handed out is the caller's.

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <cstring>
#include <exception>

namespace {

using Pack = at::Tensor(const at::Tensor&, std::optional<c10::SymInt>);
using Linear = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, c10::string_view,
                          c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);

template <typename Work>
char* guarded(at::Tensor** out, Work work) {
  try {
    *out = new at::Tensor(work());
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception that is not a std::exception");
  }
}

}  // namespace

extern "C" char* torchmesh_pack_linear(const at::Tensor* weight, at::Tensor** out) {
  return guarded(out, [&] {
    static const auto pack = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_reorder_linear_weight", "").typed<Pack>();
    return pack.call(*weight, std::nullopt);
  });
}

extern "C" char* torchmesh_packed_linear(const at::Tensor* input, const at::Tensor* packed, const at::Tensor* bias, const char* activation,
                                         const char* algorithm, at::Tensor** out) {
  return guarded(out, [&] {
    static const auto linear = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Linear>();
    return linear.call(*input, *packed, *bias, activation, c10::List<std::optional<at::Scalar>>(), algorithm);
  });
}

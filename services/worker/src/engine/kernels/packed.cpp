// ATen operators that torch-sys has no binding for: oneDNN's linear layer with weights packed beforehand, and a GPU's attention over texts that lie one behind
// the other.
//
// Every function answers nullptr, or a message that the caller frees with free(). Tensors cross as pointers to at::Tensor, which is what
// torch-sys calls a tensor; a pointer that is handed out is the caller's.

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_efficient_attention_forward.h>

#include "../shim.h"

namespace {

using Pack = at::Tensor(const at::Tensor&, std::optional<c10::SymInt>);
using Linear = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, c10::string_view,
                          c10::List<std::optional<at::Scalar>>, std::optional<c10::string_view>);

template <typename Work>
char* handed_out(at::Tensor** out, Work work) {
  return guarded([&] { *out = new at::Tensor(work()); });
}

}  // namespace

extern "C" char* torchmesh_pack_linear(const at::Tensor* weight, at::Tensor** out) {
  return handed_out(out, [&] {
    static const auto pack = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_reorder_linear_weight", "").typed<Pack>();
    return pack.call(*weight, std::nullopt);
  });
}

extern "C" char* torchmesh_packed_linear(const at::Tensor* input, const at::Tensor* packed, const at::Tensor* bias, const char* activation,
                                         const char* algorithm, at::Tensor** out) {
  return handed_out(out, [&] {
    static const auto linear = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Linear>();
    return linear.call(*input, *packed, *bias, activation, c10::List<std::optional<at::Scalar>>(), algorithm);
  });
}

// Attention of each text to itself: `mixed` [tokens, 3, heads, size] holds queries, keys and values; text i is the tokens from begins[i] to begins[i + 1], an
// INT32 tensor on the GPU, of which `longest` has the most. → [tokens, heads, size]
extern "C" char* torchmesh_attend_texts(const at::Tensor* mixed, const at::Tensor* begins, int64_t longest, at::Tensor** out) {
  return handed_out(out, [&] {
    constexpr int64_t unmasked = 0;
    const auto part = [&](int64_t which) { return mixed->select(1, which).unsqueeze(0); };
    const auto answer = at::_efficient_attention_forward(part(0), part(1), part(2), std::nullopt, *begins, *begins, longest, longest, 0.0, unmasked);
    return std::get<0>(answer).squeeze(0);
  });
}

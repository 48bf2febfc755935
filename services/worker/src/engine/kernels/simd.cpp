// The kernels of encoder and decoder for one instruction set: build.rs compiles this file once for each, under a name of its own (TORCHMESH_KERNELS).
//
// No kernel allocates, keeps anything, or checks its arguments: simd.rs does that before it calls.

#include "attention.h"
#include "cached.h"
#include "gate.h"
#include "nibble.h"
#include "norm.h"
#include "product.h"

namespace {

// Round to the nearest, ties to even; NaN stays NaN.
inline uint16_t brief(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  if (value != value) return (uint16_t)((bits >> 16) | 0x40);
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// `weight` [columns, depth] → panels [⌈columns / kPanel⌉, depth, kPanel], filled up with zeros.
void pack(const float* weight, size_t columns, size_t depth, float* packed) {
  for (size_t first = 0; first < columns; first += kPanel) {
    for (size_t step = 0; step < depth; ++step) {
      for (size_t at = first; at < first + kPanel; ++at) *packed++ = at < columns ? weight[at * depth + step] : 0.0f;
    }
  }
}

// The same in brief: a word holds the values of two steps.
void pack_brief(const float* weight, size_t columns, size_t depth, float* packed) {
  uint16_t* words = (uint16_t*)packed;
  for (size_t first = 0; first < columns; first += kPanel) {
    for (size_t step = 0; step < depth; step += 2) {
      for (size_t at = first; at < first + kPanel; ++at) {
        for (size_t each = step; each < step + 2; ++each) {
          *words++ = at < columns && each < depth ? brief(weight[at * depth + each]) : 0;
        }
      }
    }
  }
}

// The same in whole numbers of one byte, and the scale of each column.
void pack_bytes(const float* weight, size_t columns, size_t depth, float* packed, float* scales) {
  int8_t* bytes = (int8_t*)packed;
  for (size_t column = 0; column < columns; ++column) {
    float most = 0.0f;
    for (size_t step = 0; step < depth; ++step) {
      const float size = __builtin_fabsf(weight[column * depth + step]);
      if (size > most) most = size;
    }
    scales[column] = most / 127.0f;
  }
  for (size_t first = 0; first < columns; first += kPanel) {
    for (size_t step = 0; step < depth; ++step) {
      for (size_t at = first; at < first + kPanel; ++at) {
        const bool inside = at < columns && scales[at] > 0.0f;
        *bytes++ = inside ? (int8_t)__builtin_rintf(weight[at * depth + step] / scales[at]) : (int8_t)0;
      }
    }
  }
}

void multiply_bytes(const Product* product) { multiply<Byte>(*product, product->left, product->left_stride); }

void multiply_single(const Product* product) { multiply<Single>(*product, product->left, product->left_stride); }

#if defined(__AVX512BF16__)
void multiply_brief(const Product* product) {
  const size_t stride = (product->depth + 1) / 2 * 2;
  for (size_t row = 0; row < product->rows; ++row) {
    const float* from = product->left + row * product->left_stride;
    uint16_t* to = product->scratch + row * stride;
    size_t at = 0;
    for (; at + kLanes <= product->depth; at += kLanes) {
      const __m256bh few = _mm512_cvtneps_pbh((__m512)load(from + at));
      __builtin_memcpy(to + at, &few, sizeof few);
    }
    for (; at < product->depth; ++at) to[at] = brief(from[at]);
    if (at < stride) to[at] = 0;
  }
  multiply<Brief>(*product, product->scratch, stride);
}
#else
constexpr void (*multiply_brief)(const Product*) = nullptr;
#endif

void attend_once(const Attention* attention) { attend(*attention); }

void normalise_rows(const Norm* norm) { normalise(*norm); }

void normalise_rows_by_root(const RootNorm* norm) { normalise_by_root(*norm); }

void gate_rows(const Gate* gate) { pass_gate(*gate); }

void attend_once_to_cache(const Cached* cached) { attend_to_cache(*cached); }

}  // namespace

struct TorchmeshKernels {
  size_t panel;
  void (*pack)(const float*, size_t, size_t, float*);
  void (*pack_brief)(const float*, size_t, size_t, float*);
  void (*multiply)(const Product*);
  // Null where the instruction set has no product of brief values.
  void (*multiply_brief)(const Product*);
  size_t (*attention_room)(size_t, size_t);
  void (*attend)(const Attention*);
  void (*normalise)(const Norm*);
  void (*normalise_by_root)(const RootNorm*);
  void (*gate)(const Gate*);
  size_t (*cached_room)(size_t, size_t, size_t, size_t);
  void (*attend_to_cache)(const Cached*);
  void (*pack_bytes)(const float*, size_t, size_t, float*, float*);
  void (*multiply_bytes)(const Product*);
  size_t (*nibble_words)(size_t);
  size_t (*nibble_room)(size_t, size_t);
  void (*pack_nibbles)(const float*, size_t, size_t, float*);
  void (*multiply_nibbles)(const Product*);
};

extern "C" const TorchmeshKernels TORCHMESH_KERNELS;
const TorchmeshKernels TORCHMESH_KERNELS = {
    kPanel, pack, pack_brief, multiply_single, multiply_brief, attention_room, attend_once, normalise_rows,
    normalise_rows_by_root, gate_rows, cached_room, attend_once_to_cache, pack_bytes, multiply_bytes,
    nibble_words, nibble_room, pack_nibbles, multiply_nibbles,
};

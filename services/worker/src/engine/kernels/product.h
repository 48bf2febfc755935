// Matrix products with a weight that was packed beforehand.
#pragma once

#include "vector.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

struct Product {
  // [rows, depth]
  const float* left;
  size_t left_stride;
  // As `pack` and its like wrote it.
  const float* right;
  // [columns], the last panel filled up.
  const float* bias;
  // [rows, columns], added to the result after the activation; or null.
  const float* add;
  size_t add_stride;
  // [rows, columns], the last panel filled up: it is written in whole panels.
  float* out;
  size_t out_stride;
  size_t rows, columns, depth;
  // 0 nothing, 1 GELU by the error function, 2 GELU by the hyperbolic tangent, 3 SiLU, 4 ReLU.
  uint32_t activation;
  // Room for rows × depth values of two bytes, the rows of even length, where the weight is in brief; as much as `nibble_room` says where it is in nibbles.
  uint16_t* scratch;
  // [columns], what the sums are multiplied by first, the last panel filled up; or null.
  const float* scale;
};

namespace {

// A tile of the result stays in registers: kRows × kColumns sums, beside kColumns vectors of the weight and one broadcast value.
#if defined(__AVX512F__)
constexpr size_t kRows = 14;
#else
constexpr size_t kRows = 6;
#endif
constexpr size_t kColumns = 2;
// Columns of a panel: a packed weight is a row of panels, each of them contiguous.
constexpr size_t kPanel = kColumns * kLanes;

// How many values of a row one lane multiplies at once, and how.
struct Single {
  typedef float Value;
  static constexpr size_t kStep = 1;
  // Words of four bytes that a panel of the weight has for a step.
  static constexpr size_t kWords = kPanel;
  static Vector right(const float* step, size_t column) { return load(step + column * kLanes); }
  static Vector multiply_add(Vector sum, const Value* left, Vector right) { return sum + all(*left) * right; }
};

// Whole numbers of one byte.
struct Byte : Single {
  static constexpr size_t kWords = kPanel / 4;
  static Vector right(const float* step, size_t column) {
    const int8_t* from = (const int8_t*)step + column * kLanes;
    // Compilers take the portable form apart, value by value.
#if defined(__AVX512F__)
    return (Vector)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)from)));
#elif defined(__AVX2__)
    return (Vector)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)from)));
#else
    Vector values;
    for (size_t lane = 0; lane < kLanes; ++lane) values[lane] = (float)from[lane];
    return values;
#endif
  }
};

#if defined(__AVX512BF16__)
struct Brief {
  typedef uint16_t Value;
  static constexpr size_t kStep = 2;
  static constexpr size_t kWords = kPanel;
  static Vector right(const float* step, size_t column) { return load(step + column * kLanes); }
  static Vector multiply_add(Vector sum, const Value* left, Vector right) {
    int32_t pair;
    __builtin_memcpy(&pair, left, sizeof pair);
    return (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)right);
  }
};
#endif

// `out` [R, kPanel] = `left` [R, steps] × `right` [steps, kPanel], and what `out` held before where it goes `kOnto`. `ahead` is what will be read
// next: it is brought nearer meanwhile, a cache line a step, and need not be readable.
template <class Kind, bool kOnto, size_t R>
void tile(const typename Kind::Value* left, size_t left_stride, const float* right, size_t right_stride, size_t steps, const char* ahead,
          float* out, size_t out_stride) {
  Vector sums[R][kColumns] = {};
  if constexpr (kOnto) {
#pragma GCC unroll 14
    for (size_t row = 0; row < R; ++row) {
#pragma GCC unroll 2
      for (size_t column = 0; column < kColumns; ++column) sums[row][column] = load(out + row * out_stride + column * kLanes);
    }
  }
  for (size_t step = 0; step < steps; ++step) {
    Vector columns[kColumns];
#pragma GCC unroll 2
    for (size_t column = 0; column < kColumns; ++column) columns[column] = Kind::right(right, column);
    __builtin_prefetch(ahead, 0, 2);
#pragma GCC unroll 14
    for (size_t row = 0; row < R; ++row) {
#pragma GCC unroll 2
      for (size_t column = 0; column < kColumns; ++column) {
        sums[row][column] = Kind::multiply_add(sums[row][column], left + row * left_stride + step * Kind::kStep, columns[column]);
      }
    }
    right += right_stride;
    ahead += 64;
  }
#pragma GCC unroll 14
  for (size_t row = 0; row < R; ++row) {
#pragma GCC unroll 2
    for (size_t column = 0; column < kColumns; ++column) store(out + row * out_stride + column * kLanes, sums[row][column]);
  }
}

template <class Kind>
using Tile = void (*)(const typename Kind::Value*, size_t, const float*, size_t, size_t, const char*, float*, size_t);

// The tile of each height from 1 to kRows.
template <class Kind, bool kOnto = false>
struct Tiles {
  Tile<Kind> of[kRows + 1] = {};
  constexpr Tiles() { fill<kRows>(); }
  template <size_t R>
  constexpr void fill() {
    if constexpr (R > 0) {
      of[R] = tile<Kind, kOnto, R>;
      fill<R - 1>();
    }
  }
};

template <class Apply>
inline void finish(const float* sums, size_t rows, const Product& product, size_t row, size_t column, Apply apply) {
  const float* bias = product.bias + column;
  for (size_t end = row + rows; row < end; ++row, sums += kPanel) {
    const float* add = product.add ? product.add + row * product.add_stride + column : nullptr;
    float* out = product.out + row * product.out_stride + column;
#pragma GCC unroll 2
    for (size_t at = 0; at < kPanel; at += kLanes) {
      Vector sum = load(sums + at);
      if (product.scale) sum *= load(product.scale + column + at);
      Vector value = apply(sum + load(bias + at));
      if (add) value += load(add + at);
      store(out + at, value);
    }
  }
}

inline void finish(const float* sums, size_t rows, const Product& product, size_t row, size_t column) {
  switch (product.activation) {
    case 1: return finish(sums, rows, product, row, column, gelu);
    case 2: return finish(sums, rows, product, row, column, gelu_tanh);
    case 3: return finish(sums, rows, product, row, column, silu);
    case 4: return finish(sums, rows, product, row, column, [](Vector value) { return larger(value, Vector{}); });
    default: return finish(sums, rows, product, row, column, [](Vector value) { return value; });
  }
}

// Panel by panel, so that each is read from memory once and from the nearest cache for every tile of rows but the first.
template <class Kind>
void multiply(const Product& product, const typename Kind::Value* left, size_t left_stride) {
  static constexpr Tiles<Kind> tiles;
  const size_t steps = (product.depth + Kind::kStep - 1) / Kind::kStep;
  const size_t count = (product.rows + kRows - 1) / kRows;
  const float* panel = product.right;
  alignas(64) float sums[kRows * kPanel];
  for (size_t column = 0; column < product.columns; column += kPanel, panel += steps * Kind::kWords) {
    for (size_t at = 0; at < count; ++at) {
      // Tiles of equal height: a low one reads as much for less work.
      const size_t row = product.rows * at / count, rows = product.rows * (at + 1) / count - row;
      // The first two tiles bring the next panel: it has two lines a step at most.
      const char* ahead = (const char*)(panel + steps * Kind::kWords) + (at < 2 ? at * steps * 64 : 0);
      tiles.of[rows](left + row * left_stride, left_stride, panel, Kind::kWords, steps, ahead, sums, kPanel);
      finish(sums, rows, product, row, column);
    }
  }
}

}  // namespace

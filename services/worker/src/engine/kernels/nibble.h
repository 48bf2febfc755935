// Products with a weight that was packed as whole numbers of four bits, a scale for each 32 of a column.
//
// The left side becomes whole numbers of one byte first, a scale for each 32 of a row, so that 32 products are a few instructions: what llama.cpp does with
// its Q4_0 and Q8_0, in a layout of our own.
#pragma once

#include "product.h"

namespace {

// Steps that share a scale, and the bytes of their numbers.
constexpr size_t kGroup = 32, kGroupBytes = kGroup / 2;
// A number stands for itself less this.
constexpr int kNibbleZero = 8;
// Rows whose sums are made at once: the weight's numbers are unpacked once for them.
constexpr size_t kNibbleRows = 4;

// A column is its groups' numbers, the first half of a group in the low bits and the second in the high ones, and behind them its groups' scales, each the
// upper half of a float; as many whole words as that takes.
inline size_t nibble_groups(size_t depth) { return (depth + kGroup - 1) / kGroup; }
inline size_t nibble_words(size_t depth) { return (nibble_groups(depth) * (kGroupBytes + 2) + 3) / 4; }

inline float upper_half(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

// The scratch of a product: for each row its bytes, whole groups of them; for each of its groups the scale, and what the weight's zeros add to it, as many as
// are eights of them, filled up with zeros.
struct Quantised {
  const int8_t* numbers;
  const float* scales;
  const float* zeros;
  size_t groups, stride;
};

constexpr size_t kEights = 8;

inline size_t nibble_stride(size_t depth) { return (nibble_groups(depth) + kEights - 1) / kEights * kEights; }

inline size_t nibble_room(size_t rows, size_t depth) {
  return rows * (nibble_groups(depth) * kGroup + 2 * nibble_stride(depth) * sizeof(float));
}

inline Quantised quantise(const Product& product) {
  const size_t groups = nibble_groups(product.depth), stride = nibble_stride(product.depth);
  float* scales = (float*)product.scratch;
  float* zeros = scales + product.rows * stride;
  int8_t* numbers = (int8_t*)(zeros + product.rows * stride);
  for (size_t row = 0; row < product.rows; ++row) {
    const float* from = product.left + row * product.left_stride;
    for (size_t group = 0; group < groups; ++group) {
      const size_t begin = group * kGroup, count = product.depth - begin < kGroup ? product.depth - begin : kGroup;
      int8_t* to = numbers + (row * groups + group) * kGroup;
      float most = 0.0f;
      bool known = true;
      for (size_t step = 0; step < count; ++step) {
        const float size = __builtin_fabsf(from[begin + step]);
        known = known && size <= 3e38f;
        if (size > most) most = size;
      }
      // What is no number makes all sums of its row none.
      const float scale = known ? most / 127.0f : __builtin_nanf(""), by = most > 1e-30f && known ? 127.0f / most : 0.0f;
      int sum = 0;
      for (size_t step = 0; step < kGroup; ++step) {
        to[step] = step < count ? (int8_t)__builtin_rintf((known ? from[begin + step] : 0.0f) * by) : (int8_t)0;
        sum += to[step];
      }
      scales[row * stride + group] = scale;
      zeros[row * stride + group] = scale * (float)(kNibbleZero * sum);
    }
    for (size_t group = groups; group < stride; ++group) scales[row * stride + group] = zeros[row * stride + group] = 0.0f;
  }
  return {numbers, scales, zeros, groups, stride};
}

#if defined(__AVX2__)
// A group's 32 numbers, each 0 to 15 in a byte.
inline __m256i unpack(const uint8_t* numbers) {
  const __m128i both = _mm_loadu_si128((const __m128i*)numbers);
  const __m256i parts = _mm256_inserti128_si256(_mm256_castsi128_si256(both), _mm_srli_epi16(both, 4), 1);
  return _mm256_and_si256(parts, _mm256_set1_epi8(15));
}

// `sums` [R]: of a column with R rows from `row` on.
template <size_t R>
inline void nibble_dots(const uint8_t* column, const Quantised& left, size_t row, float* sums) {
  const uint8_t* halves = column + left.groups * kGroupBytes;
  const int8_t* numbers = left.numbers + row * left.groups * kGroup;
  const float *left_scales = left.scales + row * left.stride, *zeros = left.zeros + row * left.stride;
  __m256 partial[R];
  for (size_t each = 0; each < R; ++each) partial[each] = _mm256_setzero_ps();
  for (size_t begin = 0; begin < left.groups; begin += kEights) {
    const size_t count = left.groups - begin < kEights ? left.groups - begin : kEights;
    uint16_t eight[kEights] = {};
    if (count == kEights) {
      __builtin_memcpy(eight, halves + 2 * begin, sizeof eight);
    } else {
      __builtin_memcpy(eight, halves + 2 * begin, 2 * count);
    }
    const __m256i wide = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)eight)), 16);
    alignas(32) float scales[kEights];
    _mm256_store_ps(scales, _mm256_castsi256_ps(wide));
#pragma GCC unroll 4
    for (size_t each = 0; each < R; ++each) {
      partial[each] = _mm256_fnmadd_ps(_mm256_castsi256_ps(wide), _mm256_loadu_ps(zeros + each * left.stride + begin), partial[each]);
    }
    for (size_t group = begin; group < begin + count; ++group) {
      const __m256 scale = _mm256_broadcast_ss(scales + group - begin);
      const __m256i weights = unpack(column + group * kGroupBytes);
#pragma GCC unroll 4
      for (size_t each = 0; each < R; ++each) {
        const __m256i bytes = _mm256_loadu_si256((const __m256i*)(numbers + (each * left.groups + group) * kGroup));
        // Of two neighbours at most 2 × 15 × 127: it fits 16 bits.
        const __m256i fours = _mm256_madd_epi16(_mm256_maddubs_epi16(weights, bytes), _mm256_set1_epi16(1));
        const __m256 by = _mm256_mul_ps(scale, _mm256_broadcast_ss(left_scales + each * left.stride + group));
        partial[each] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(fours), by, partial[each]);
      }
    }
  }
  for (size_t each = 0; each < R; ++each) {
    float lanes[8];
    _mm256_storeu_ps(lanes, partial[each]);
    sums[each] = ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
  }
}
#else
template <size_t R>
inline void nibble_dots(const uint8_t* column, const Quantised& left, size_t row, float* sums) {
  const uint8_t* halves = column + left.groups * kGroupBytes;
  for (size_t each = 0; each < R; ++each) sums[each] = 0.0f;
  for (size_t group = 0; group < left.groups; ++group) {
    uint16_t half;
    __builtin_memcpy(&half, halves + 2 * group, sizeof half);
    const float scale = upper_half(half);
    const uint8_t* weights = column + group * kGroupBytes;
    for (size_t each = 0; each < R; ++each) {
      const size_t at = (row + each) * left.stride + group;
      const int8_t* numbers = left.numbers + ((row + each) * left.groups + group) * kGroup;
      int sum = 0;
      for (size_t step = 0; step < kGroupBytes; ++step) {
        sum += (weights[step] & 15) * numbers[step] + (weights[step] >> 4) * numbers[step + kGroupBytes];
      }
      sums[each] += scale * left.scales[at] * (float)sum - scale * left.zeros[at];
    }
  }
}
#endif

// Some rows of a panel's columns.
template <size_t R>
void nibble_rows(const uint8_t* panel, size_t bytes, const Product& product, const Quantised& left, size_t row, size_t column) {
  alignas(64) float sums[R * kPanel];
  for (size_t at = 0; at < kPanel; ++at) {
    float of_column[R];
    nibble_dots<R>(panel + at * bytes, left, row, of_column);
    for (size_t each = 0; each < R; ++each) sums[each * kPanel + at] = of_column[each];
  }
  finish(sums, R, product, row, column);
}

// Panel by panel, as `multiply`.
inline void multiply_nibbles(const Product* product) {
  const Quantised left = quantise(*product);
  const size_t bytes = nibble_words(product->depth) * 4;
  const uint8_t* panel = (const uint8_t*)product->right;
  for (size_t column = 0; column < product->columns; column += kPanel, panel += kPanel * bytes) {
    size_t row = 0;
    for (; row + kNibbleRows <= product->rows; row += kNibbleRows) nibble_rows<kNibbleRows>(panel, bytes, *product, left, row, column);
    for (; row < product->rows; ++row) nibble_rows<1>(panel, bytes, *product, left, row, column);
  }
}

// The scale of a group whose furthest value is `most`: the one that stands for -8 times it. The other side reaches 7 of them.
inline uint16_t nibble_scale(float most) {
  const float scale = most / -8.0f;
  uint32_t bits;
  __builtin_memcpy(&bits, &scale, sizeof bits);
  return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// `weight` [columns, depth] → columns as above, whole panels of them.
inline void pack_nibbles(const float* weight, size_t columns, size_t depth, float* packed) {
  const size_t groups = nibble_groups(depth), bytes = nibble_words(depth) * 4;
  for (size_t column = 0; column < columns; ++column) {
    uint8_t* numbers = (uint8_t*)packed + column * bytes;
    uint8_t* halves = numbers + groups * kGroupBytes;
    for (size_t group = 0; group < groups; ++group) {
      const float* from = weight + column * depth + group * kGroup;
      const size_t count = depth - group * kGroup < kGroup ? depth - group * kGroup : kGroup;
      float most = 0.0f;
      for (size_t step = 0; step < count; ++step) {
        if (__builtin_fabsf(from[step]) > __builtin_fabsf(most)) most = from[step];
      }
      const uint16_t half = nibble_scale(most);
      const float scale = upper_half(half);
      __builtin_memcpy(halves + 2 * group, &half, sizeof half);
      for (size_t step = 0; step < kGroup; ++step) {
        int number = kNibbleZero;
        if (step < count && scale != 0.0f) number += (int)__builtin_rintf(from[step] / scale);
        number = number < 0 ? 0 : number > 15 ? 15 : number;
        uint8_t& byte = numbers[group * kGroupBytes + step % kGroupBytes];
        byte = step < kGroupBytes ? (uint8_t)number : (uint8_t)(byte | number << 4);
      }
    }
  }
}

}  // namespace

// The widest vector of the instruction set that the including file is compiled for, and what the kernels compute with it.
//
// Everything here is in an unnamed namespace and nothing comes from the C++ library: the same source is compiled once for each instruction
// set, and a function that the linker could merge across them would run instructions that the processor may lack.
#pragma once

#include <cstddef>
#include <cstdint>

namespace {

#if defined(__AVX512F__)
constexpr size_t kLanes = 16;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr size_t kLanes = 8;
#else
constexpr size_t kLanes = 4;
#endif

typedef float Vector __attribute__((vector_size(kLanes * 4)));
typedef uint32_t Whole __attribute__((vector_size(kLanes * 4)));

inline Vector load(const float* from) {
  Vector values;
  __builtin_memcpy(&values, from, sizeof values);
  return values;
}

inline void store(float* to, Vector values) { __builtin_memcpy(to, &values, sizeof values); }

// Subtracting zero is free, and adding it is not: -0 + 0 is not -0.
inline Vector all(float value) { return value - Vector{}; }

inline Vector larger(Vector left, Vector right) { return left > right ? left : right; }

inline Vector smaller(Vector left, Vector right) { return left < right ? left : right; }

template <class Join>
inline float joined(Vector values, Join join) {
  float lanes[kLanes];
  __builtin_memcpy(lanes, &values, sizeof values);
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) lanes[lane] = join(lanes[lane], lanes[lane + width]);
  }
  return lanes[0];
}

inline float sum(Vector values) {
  return joined(values, [](float left, float right) { return left + right; });
}

inline float largest(Vector values) {
  return joined(values, [](float left, float right) { return left > right ? left : right; });
}

// e to the power of `power`, which is held between -87 and 88: relative error 2e-7. 2^n · 2^f, with n whole and |f| ≤ 1/2; the polynomial is
// the minimax one for 2^f. NaN comes out as NaN.
inline Vector exponential(Vector power) {
  const Vector held = power < -87.0f ? all(-87.0f) : (power > 88.0f ? all(88.0f) : power);
  const Vector scaled = held * 1.44269504f;
  // Adding 1.5 · 2^23 rounds to a whole number, which then stands in the lowest bits.
  const Vector shifted = scaled + 12582912.0f;
  const Vector f = scaled - (shifted - 12582912.0f);
  Vector value = f * 0.00132764712f + 0.00967554096f;
  value = value * f + 0.0555071309f;
  value = value * f + 0.240221202f;
  value = value * f + 0.693146944f;
  value = value * f + 1.0f;
  return (Vector)((Whole)value + ((Whole)shifted << 23));
}

// GELU by the error function: absolute error below 1.2e-6 for |x| < 12, which a test holds. erf(z) = z · P(z²) / Q(z²), the minimax
// quotient for |z| < 3.92, where erf is 1 to the last bit of a float but one.
inline Vector gelu(Vector x) {
  const Vector z = x * 0.707106781f;
  const Vector square = z * z;
  Vector above = square * 1.99214973e-8f - 1.99430178e-6f;
  above = above * square + 0.000148986408f;
  above = above * square + 0.00397286797f;
  above = above * square + 0.0513971858f;
  above = above * square + 0.206113592f;
  above = above * square + 1.12837875f;
  Vector below = square * 0.00102411886f + 0.014889162f;
  below = below * square + 0.117564291f;
  below = below * square + 0.515992165f;
  below = below * square + 1.0f;
  const Vector inside = z * above / below;
  const Vector error = z > 3.92f ? all(1.0f) : (z < -3.92f ? all(-1.0f) : inside);
  return x * 0.5f * (1.0f + error);
}

// x · sigmoid(x).
inline Vector silu(Vector x) { return x / (1.0f + exponential(-x)); }

// The hyperbolic tangent: absolute error below 3e-7.
inline Vector tangent(Vector x) { return 1.0f - 2.0f / (1.0f + exponential(x * 2.0f)); }

// GELU by the hyperbolic tangent: x · sigmoid(2y), y = √(2/π) · (x + 0.044715 x³).
inline Vector gelu_tanh(Vector x) {
  const Vector twice = x * (x * x * 0.0713548163f + 1.59576912f);
  return x / (1.0f + exponential(-twice));
}

}  // namespace

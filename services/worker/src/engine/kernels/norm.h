// Layer normalisation, and that by the root of the mean square.
#pragma once

#include "vector.h"

struct Norm {
  // [count, size], in place.
  float* rows;
  size_t stride, count, size;
  // [size]
  const float* weight;
  const float* bias;
  float epsilon;
};

struct RootNorm {
  // [count, size]
  const float* from;
  size_t from_stride;
  // [count, size]; may be `from`.
  float* to;
  size_t to_stride;
  size_t count, size;
  // [size]
  const float* weight;
  float epsilon;
};

namespace {

// x / √(mean of x² + ε) · weight.
void normalise_by_root(const RootNorm& norm) {
  const size_t whole = norm.size / kLanes * kLanes;
  for (size_t index = 0; index < norm.count; ++index) {
    const float* from = norm.from + index * norm.from_stride;
    float* to = norm.to + index * norm.to_stride;
    Vector parts = {};
    for (size_t at = 0; at < whole; at += kLanes) parts += load(from + at) * load(from + at);
    float total = sum(parts);
    for (size_t at = whole; at < norm.size; ++at) total += from[at] * from[at];
    const float factor = 1.0f / __builtin_sqrtf(total / (float)norm.size + norm.epsilon);
    for (size_t at = 0; at < whole; at += kLanes) store(to + at, load(from + at) * factor * load(norm.weight + at));
    for (size_t at = whole; at < norm.size; ++at) to[at] = from[at] * factor * norm.weight[at];
  }
}

// The mean first and the variance around it: one pass over both would cancel.
void normalise(const Norm& norm) {
  const size_t whole = norm.size / kLanes * kLanes;
  for (size_t index = 0; index < norm.count; ++index) {
    float* row = norm.rows + index * norm.stride;
    Vector parts = {};
    for (size_t at = 0; at < whole; at += kLanes) parts += load(row + at);
    float total = sum(parts);
    for (size_t at = whole; at < norm.size; ++at) total += row[at];
    const float mean = total / (float)norm.size;
    parts = Vector{};
    for (size_t at = 0; at < whole; at += kLanes) {
      const Vector away = load(row + at) - mean;
      parts += away * away;
    }
    total = sum(parts);
    for (size_t at = whole; at < norm.size; ++at) total += (row[at] - mean) * (row[at] - mean);
    const float factor = 1.0f / __builtin_sqrtf(total / (float)norm.size + norm.epsilon);
    for (size_t at = 0; at < whole; at += kLanes) {
      store(row + at, (load(row + at) - mean) * factor * load(norm.weight + at) + load(norm.bias + at));
    }
    for (size_t at = whole; at < norm.size; ++at) row[at] = (row[at] - mean) * factor * norm.weight[at] + norm.bias[at];
  }
}

}  // namespace

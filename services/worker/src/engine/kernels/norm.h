// Layer normalisation.
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

namespace {

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

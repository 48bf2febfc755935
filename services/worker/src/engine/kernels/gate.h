// What a gated layer makes of its two products.
#pragma once

#include "vector.h"

struct Gate {
  // [rows, columns], activated in place and multiplied by `by`.
  float* rows;
  // [rows, columns]
  const float* by;
  size_t stride;
  size_t count, columns;
  // As Product has it.
  uint32_t activation;
};

namespace {

template <class Apply>
inline void pass_gate(const Gate& gate, Apply apply) {
  for (size_t index = 0; index < gate.count; ++index) {
    float* row = gate.rows + index * gate.stride;
    const float* by = gate.by + index * gate.stride;
    // Whole vectors: what is behind the columns is nobody's.
    for (size_t at = 0; at < gate.columns; at += kLanes) store(row + at, apply(load(row + at)) * load(by + at));
  }
}

inline void pass_gate(const Gate& gate) {
  switch (gate.activation) {
    case 1: return pass_gate(gate, gelu);
    case 2: return pass_gate(gate, gelu_tanh);
    case 3: return pass_gate(gate, silu);
    case 4: return pass_gate(gate, [](Vector value) { return larger(value, Vector{}); });
    default: return pass_gate(gate, [](Vector value) { return value; });
  }
}

}  // namespace

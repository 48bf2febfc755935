// Attention of one text's tokens to each other, straight from the rows in which query, key and value lie side by side.
#pragma once

#include "product.h"

struct Attention {
  // [length, 3 × heads × size]: query (scaled already), key, value. A row can be read kPanel values beyond that.
  const float* mixed;
  size_t mixed_stride;
  // [length, heads × size]. A row can be written kPanel values beyond that, and comes out with anything in them.
  float* out;
  size_t out_stride;
  size_t length, heads, size;
  // What is added to a head's scores for the distance of two tokens: for a token and itself, with `length` - 1 numbers before (for the keys before the
  // query) and behind. Null: nothing is added.
  const float* near;
  size_t near_stride;
  // Room for `attention_room` values.
  float* scratch;
};

namespace {

inline size_t panels(size_t columns) { return (columns + kPanel - 1) / kPanel; }

inline size_t attention_room(size_t length, size_t size) { return panels(length) * kPanel * (size + kRows) + kRows; }

// The keys of a head, as the right side of a product: panels of kPanel keys, filled up with zeros.
inline void turn(const Attention& attention, const float* key, float* keys) {
  for (size_t first = 0; first < attention.length; first += kPanel, keys += attention.size * kPanel) {
    for (size_t at = 0; at < kPanel; ++at) {
      const float* row = key + (first + at) * attention.mixed_stride;
      const bool inside = first + at < attention.length;
      for (size_t part = 0; part < attention.size; ++part) keys[part * kPanel + at] = inside ? row[part] : 0.0f;
    }
  }
}

// `scores` → e^(score - the largest), and answers their sum. Behind `length` the row may hold anything up to a whole vector.
inline float weigh(float* scores, size_t length) {
  const size_t end = (length + kLanes - 1) / kLanes * kLanes;
  for (size_t at = length; at < end; ++at) scores[at] = -3e38f;
  Vector most = load(scores);
  for (size_t at = kLanes; at < end; at += kLanes) most = larger(most, load(scores + at));
  const Vector top = all(largest(most));
  Vector total = {};
  for (size_t at = 0; at < end; at += kLanes) {
    const Vector weight = exponential(load(scores + at) - top);
    store(scores + at, weight);
    total += weight;
  }
  return sum(total);
}

inline void shift(float* scores, const float* by, size_t length) {
  for (size_t at = 0; at < length; ++at) scores[at] += by[at];
}

inline void scale(float* row, size_t size, float factor) {
  for (size_t at = 0; at < size; ++at) row[at] *= factor;
}

// Heads go from left to right: what the last panel of one writes beyond its own columns, the next one overwrites.
void attend(const Attention& attention) {
  static constexpr Tiles<Single> tiles;
  const size_t length = attention.length, size = attention.size, width = attention.heads * size;
  const size_t stride = attention.mixed_stride, wide = panels(length) * kPanel;
  const size_t count = (length + kRows - 1) / kRows;
  float* keys = attention.scratch;
  float* scores = keys + wide * size;
  for (size_t head = 0; head < attention.heads; ++head) {
    const float* query = attention.mixed + head * size;
    const float* value = query + 2 * width;
    turn(attention, query + width, keys);
    for (size_t at = 0; at < count; ++at) {
      const size_t row = length * at / count, rows = length * (at + 1) / count - row;
      const Tile<Single> tile = tiles.of[rows];
      for (size_t key = 0; key < length; key += kPanel) {
        const float* panel = keys + key * size;
        tile(query + row * stride, stride, panel, kPanel, size, (const char*)panel, scores + key, wide);
      }
      if (attention.near) {
        const float* near = attention.near + head * attention.near_stride;
        for (size_t each = 0; each < rows; ++each) shift(scores + each * wide, near - (row + each), length);
      }
      float totals[kRows];
      for (size_t each = 0; each < rows; ++each) totals[each] = weigh(scores + each * wide, length);
      float* out = attention.out + row * attention.out_stride + head * size;
      for (size_t part = 0; part < size; part += kPanel) {
        tile(scores, wide, value + part, stride, length, (const char*)value, out + part, attention.out_stride);
      }
      for (size_t each = 0; each < rows; ++each) scale(out + each * attention.out_stride, size, 1.0f / totals[each]);
    }
  }
}

}  // namespace

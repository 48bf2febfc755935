// Attention of a sequence's newest tokens to all of it, whose keys and values lie in blocks. One head of keys and values, and the heads of queries that
// share it.
#pragma once

#include "attention.h"

// Tokens in one block.
constexpr size_t kBlock = 32;

struct Cached {
  // [rows, group × size], scaled already: the queries of a row's heads lie side by side.
  const float* query;
  size_t query_stride;
  // As `query`.
  float* out;
  size_t out_stride;
  size_t rows, group, size;
  // The sequence's blocks, in order.
  const uint32_t* blocks;
  // Where this head's keys begin in block 0: [kBlock / kPanel, size, kPanel]; and how far the next block is.
  const float* keys;
  size_t keys_stride;
  // Where this head's values begin in block 0: [kBlock, size], the rows filled up to whole panels; and how far the next block is.
  const float* values;
  size_t values_stride;
  // Tokens in front of the first row. Row r sees the tokens up to `before` + r, itself included.
  size_t before;
  // How many tokens a row sees at most; 0: all.
  size_t window;
  // Scores are held between -cap and cap by a hyperbolic tangent; 0: they are not.
  float cap;
  // Room for `cached_room` values.
  float* scratch;
};

namespace {

static_assert(kBlock % kPanel == 0, "a block has whole panels");

inline size_t cached_room(size_t rows, size_t group, size_t size, size_t tokens) {
  const size_t blocks = (tokens + kBlock - 1) / kBlock;
  return rows * group * size + kRows * (blocks * kBlock + panels(size) * kPanel);
}

// Which tokens a row sees: from `first` to before `end`.
struct Sight {
  size_t first, end;
};

inline Sight sight(const Cached& cached, size_t row) {
  const size_t end = cached.before + row + 1;
  return {cached.window && end > cached.window ? end - cached.window : 0, end};
}

inline void hold(float* scores, size_t length, float cap) {
  for (size_t at = 0; at < length; at += kLanes) store(scores + at, tangent(load(scores + at) / cap) * cap);
}

// `scores` of the tokens from `begin` to `end`, both whole blocks → e^(score - the largest) for those in sight and zero elsewhere; answers their sum.
inline float weigh_seen(float* scores, size_t begin, size_t end, Sight seen) {
  for (size_t at = begin; at < seen.first; ++at) scores[at - begin] = -3e38f;
  for (size_t at = seen.end; at < end; ++at) scores[at - begin] = -3e38f;
  const float total = weigh(scores, end - begin);
  for (size_t at = begin; at < seen.first; ++at) scores[at - begin] = 0.0f;
  for (size_t at = seen.end; at < end; ++at) scores[at - begin] = 0.0f;
  return total;
}

// A few lines (a row's head is a line) at a time: their scores to everything that one of them sees, and then what they take of it.
void attend_to_cache(const Cached& cached) {
  static constexpr Tiles<Single> tiles;
  static constexpr Tiles<Single, true> tiles_onto;
  const size_t group = cached.group, size = cached.size, wide = panels(size) * kPanel;
  const size_t lines = cached.rows * group, count = (lines + kRows - 1) / kRows;
  float* queries = cached.scratch;
  float* taken = queries + lines * size;
  float* scores = taken + kRows * wide;
  for (size_t line = 0; line < lines; ++line) {
    const float* from = cached.query + line / group * cached.query_stride + line % group * size;
    __builtin_memcpy(queries + line * size, from, size * sizeof *from);
  }
  for (size_t at = 0; at < count; ++at) {
    const size_t first = lines * at / count, number = lines * (at + 1) / count - first;
    const size_t begin = sight(cached, first / group).first / kBlock;
    const size_t last = sight(cached, (first + number - 1) / group).end, end = (last + kBlock - 1) / kBlock;
    const size_t stride = (end - begin) * kBlock;
    for (size_t block = begin; block < end; ++block) {
      for (size_t panel = 0; panel < kBlock; panel += kPanel) {
        const float* keys = cached.keys + cached.blocks[block] * cached.keys_stride + panel * size;
        float* to = scores + (block - begin) * kBlock + panel;
        tiles.of[number](queries + first * size, size, keys, kPanel, size, (const char*)(keys + size * kPanel), to, stride);
      }
    }
    float totals[kRows];
    for (size_t each = 0; each < number; ++each) {
      float* line = scores + each * stride;
      if (cached.cap > 0.0f) hold(line, stride, cached.cap);
      totals[each] = weigh_seen(line, begin * kBlock, end * kBlock, sight(cached, (first + each) / group));
    }
    __builtin_memset(taken, 0, number * wide * sizeof *taken);
    for (size_t block = begin; block < end; ++block) {
      // What is behind the last token has no value yet.
      const size_t steps = last - block * kBlock < kBlock ? last - block * kBlock : kBlock;
      const float* weights = scores + (block - begin) * kBlock;
      for (size_t part = 0; part < size; part += kPanel) {
        const float* values = cached.values + cached.blocks[block] * cached.values_stride + part;
        tiles_onto.of[number](weights, stride, values, wide, steps, (const char*)(values + kBlock * wide), taken + part, wide);
      }
    }
    for (size_t each = 0; each < number; ++each) {
      const size_t line = first + each;
      float* to = cached.out + line / group * cached.out_stride + line % group * size;
      scale(taken + each * wide, size, 1.0f / totals[each]);
      __builtin_memcpy(to, taken + each * wide, size * sizeof *to);
    }
  }
}

}  // namespace

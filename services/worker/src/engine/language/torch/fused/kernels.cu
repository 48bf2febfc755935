// What lies between the matrix products of a decoder's layer, in one launch each. Compiled when a model is loaded, for its sizes:
//
//   KIND            what weights, keys and values are held in: 0 float, 1 half, 2 bfloat16
//   HIDDEN, INNER   values of a token between the layers, and in the middle of a layer's second half
//   HEADS, KV_HEADS heads of queries, and of keys and values
//   SIZE            values of a head, a multiple of 8
//   LAYER_NORM      1: norms by mean and variance; 0: by the root of the mean square
//   ACTIVATION      as Activation::code has it
//   TOKENS_OF_BLOCK tokens of a block of the cache
//   PRODUCTS        1: with the products of one row
//
// It needs no header, so that no CUDA toolkit has to be installed where it is compiled. Sums are in single precision.

// What only the GPU's assembler has a word for. Tests compile the rest for the CPU, and say EMULATED.
#ifndef EMULATED
__device__ __forceinline__ float half_to_float(unsigned short cell) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(cell));
  return value;
}
__device__ __forceinline__ unsigned short float_to_half(float value) {
  unsigned short cell;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(cell) : "f"(value));
  return cell;
}
#if KIND == 2
__device__ __forceinline__ unsigned short float_to_bfloat(float value) {
  unsigned short cell;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(cell) : "f"(value));
  return cell;
}
#endif
__device__ __forceinline__ uint4 load_once(const void* at) {
  uint4 words;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
               : "l"(at));
  return words;
}
__device__ __forceinline__ void prefetch(const void* at) { asm volatile("prefetch.global.L2 [%0];" ::"l"(at)); }

// What stands before this may run while the kernel before is not done; nothing may be read there that a kernel writes. What follows in the stream may come
// as near to this one.
__device__ __forceinline__ void after_the_one_before() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
#endif

#if KIND == 0
typedef float Cell;
__device__ __forceinline__ float load(Cell cell) { return cell; }
__device__ __forceinline__ Cell store(float value) { return value; }
#else
typedef unsigned short Cell;
#if KIND == 1
__device__ __forceinline__ float load(Cell cell) { return half_to_float(cell); }
__device__ __forceinline__ Cell store(float value) { return float_to_half(value); }
#else
__device__ __forceinline__ float load(Cell cell) { return __uint_as_float((unsigned)cell << 16); }
__device__ __forceinline__ Cell store(float value) { return float_to_bfloat(value); }
#endif
#endif

typedef long long Index;

#define ALL_HEADS (HEADS + 2 * KV_HEADS)
#define GROUP (HEADS / KV_HEADS)
#define WARP 32
#define EVERY 0xffffffffu

// Threads of a block of `attend`, which are also the tokens that it looks at together.
#define TILE 128
#define WARPS (TILE / WARP)
// Values of a head that a thread sums, and how many threads share one.
#define COLUMNS ((SIZE + TILE - 1) / TILE)
#define PARTS (SIZE < TILE ? TILE / SIZE : 1)
#define NOTHING __int_as_float(0xff800000)

__device__ __forceinline__ float warp_sum(float value) {
  for (int offset = WARP / 2; offset; offset /= 2) value += __shfl_xor_sync(EVERY, value, offset);
  return value;
}

__device__ __forceinline__ float warp_max(float value) {
  for (int offset = WARP / 2; offset; offset /= 2) value = fmaxf(value, __shfl_xor_sync(EVERY, value, offset));
  return value;
}

// The sum over a block of at most 1,024 threads, for all of them.
__device__ float block_sum(float value) {
  __shared__ float sums[WARP];
  value = warp_sum(value);
  if (threadIdx.x % WARP == 0) sums[threadIdx.x / WARP] = value;
  __syncthreads();
  value = warp_sum(threadIdx.x % WARP < blockDim.x / WARP ? sums[threadIdx.x % WARP] : 0.0f);
  __syncthreads();
  return value;
}

__device__ __forceinline__ float activated(float x) {
#if ACTIVATION == 1
  return 0.5f * x * (1.0f + erff(x * 0.70710678f));
#elif ACTIVATION == 2
  return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
#elif ACTIVATION == 3
  return x / (1.0f + expf(-x));
#elif ACTIVATION == 4
  return fmaxf(x, 0.0f);
#else
  return x;
#endif
}

// Eight neighbours, whose address is a multiple of 16 bytes.
__device__ __forceinline__ void load_eight(const Cell* cells, float* values) {
#if KIND == 0
  const float4 low = ((const float4*)cells)[0], high = ((const float4*)cells)[1];
  values[0] = low.x, values[1] = low.y, values[2] = low.z, values[3] = low.w;
  values[4] = high.x, values[5] = high.y, values[6] = high.z, values[7] = high.w;
#else
  const uint4 words = *(const uint4*)cells;
  const unsigned word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int i = 0; i < 4; i++) {
    values[2 * i] = load((Cell)(word[i] & 0xffff));
    values[2 * i + 1] = load((Cell)(word[i] >> 16));
  }
#endif
}

// Values of a row that a thread of a block holds.
#define NORM_THREADS 256
#define EACH ((HIDDEN + NORM_THREADS - 1) / NORM_THREADS)

// A block of NORM_THREADS: the norm of a row of HIDDEN values, of which each thread has those at threadIdx.x + i × NORM_THREADS.
__device__ __forceinline__ void normalise(float* own, const float* weight, const float* bias, float epsilon) {
  float sum = 0.0f, squares = 0.0f;
#if LAYER_NORM
#pragma unroll
  for (int i = 0; i < EACH; i++) sum += own[i];
  const float mean = block_sum(sum) / HIDDEN;
#else
  const float mean = sum;
#endif
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    if (threadIdx.x + i * NORM_THREADS < HIDDEN) squares += (own[i] - mean) * (own[i] - mean);
  }
  const float by = rsqrtf(block_sum(squares) / HIDDEN + epsilon);
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    const int at = threadIdx.x + i * NORM_THREADS;
    if (at < HIDDEN) own[i] = (own[i] - mean) * by * weight[at] + (bias ? bias[at] : 0.0f);
  }
}

// A block a row: hidden [rows, HIDDEN] += given (or nothing), and its norm is what the next product reads.
extern "C" __global__ void __launch_bounds__(NORM_THREADS) add_norm(float* hidden, const Cell* given, const float* weight, const float* bias,
                                                                    Cell* normed, float epsilon) {
  after_the_one_before();
  const Index begin = (Index)blockIdx.x * HIDDEN;
  float own[EACH];
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    const int at = threadIdx.x + i * NORM_THREADS;
    own[i] = at < HIDDEN ? hidden[begin + at] : 0.0f;
    if (given && at < HIDDEN) hidden[begin + at] = own[i] += load(given[begin + at]);
  }
  normalise(own, weight, bias, epsilon);
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    const int at = threadIdx.x + i * NORM_THREADS;
    if (at < HIDDEN) normed[begin + at] = store(own[i]);
  }
}

// What turns a row's queries and keys, and normalises them before.
struct Turn {
  // [rows, turning]; what sines are multiplied by is the other half's value.
  const float *cosines, *sines;
  int turning;
  // [HEADS + KV_HEADS, SIZE], or nothing.
  const float* head_weight;
  float epsilon;
};

// A warp takes a head of a row of mixed [rows, ALL_HEADS, SIZE] to `own`, in shared memory, in single precision: a value as it is, a query or a key turned.
__device__ __forceinline__ void turn_head(const Cell* mixed, Index row, int head, const Turn& turn, float* own) {
  constexpr int OF_LANE = (SIZE + WARP - 1) / WARP;
  const int lane = threadIdx.x % WARP, half = turn.turning / 2;
  const Cell* from = mixed + (row * ALL_HEADS + head) * SIZE;
  float squares = 0.0f;
  for (int i = lane; i < SIZE; i += WARP) {
    own[i] = load(from[i]);
    squares += own[i] * own[i];
  }
  if (head >= HEADS + KV_HEADS) return __syncwarp();
  if (turn.head_weight) {
    const float by = rsqrtf(warp_sum(squares) / SIZE + turn.epsilon);
    for (int i = lane; i < SIZE; i += WARP) own[i] *= by * turn.head_weight[head * SIZE + i];
  }
  __syncwarp();
  float turned[OF_LANE];
#pragma unroll
  for (int n = 0; n < OF_LANE; n++) {
    const int i = lane + n * WARP;
    if (i >= turn.turning || i >= SIZE) continue;
    const Index at = row * turn.turning + i;
    turned[n] = own[i] * turn.cosines[at] + own[i < half ? i + half : i - half] * turn.sines[at];
  }
  __syncwarp();
#pragma unroll
  for (int n = 0; n < OF_LANE; n++) {
    const int i = lane + n * WARP;
    if (i < turn.turning && i < SIZE) own[i] = turned[n];
  }
  __syncwarp();
}

// What is no number becomes zero in the cache: another sequence has the block later, and may multiply it by zero.
__device__ __forceinline__ Cell kept(float value) {
  const Cell cell = store(value);
  return isfinite(load(cell)) ? cell : store(0.0f);
}

// A warp a head: queries go to [rows, HEADS, SIZE], keys and values to their slots of the cache, [slots, KV_HEADS, SIZE]. A row whose slot is negative keeps
// nothing.
extern "C" __global__ void turn_and_keep(const Cell* mixed, const float* cosines, const float* sines, int turning, const float* head_weight,
                                         float epsilon, const Index* slots, Cell* queries, Cell* keys, Cell* values) {
  __shared__ float rooms[WARPS][SIZE];
  after_the_one_before();
  const int lane = threadIdx.x % WARP, head = blockIdx.y * WARPS + threadIdx.x / WARP;
  const Index row = blockIdx.x;
  if (head >= ALL_HEADS) return;
  float* own = rooms[threadIdx.x / WARP];
  turn_head(mixed, row, head, Turn{cosines, sines, turning, head_weight, epsilon}, own);
  if (head < HEADS) {
    for (int i = lane; i < SIZE; i += WARP) queries[(row * HEADS + head) * SIZE + i] = store(own[i]);
    return;
  }
  const Index slot = slots[row];
  if (slot < 0) return;
  Cell* to = head < HEADS + KV_HEADS ? keys + (slot * KV_HEADS + head - HEADS) * SIZE : values + (slot * KV_HEADS + head - HEADS - KV_HEADS) * SIZE;
  for (int i = lane; i < SIZE; i += WARP) to[i] = kept(own[i]);
}

// A block for a row of mixed [rows, ALL_HEADS, SIZE], a head of keys, and a part of the tokens up to it: keeps the row's own key and value, and gives what the
// queries that share these keys attend to, attended [rows, HEADS, SIZE].
// With more parts than one, each leaves in partial [rows, HEADS, parts, SIZE + 2] its sums, the highest score and the sum of the weights, and the last one
// puts them together; arrivals [rows, KV_HEADS] are zero before and after. `table` + begins[row] are the row's blocks in order. A row whose position is
// negative gives zeros.
extern "C" __global__ void __launch_bounds__(TILE) attend(const Cell* mixed, const float* cosines, const float* sines, int turning,
                                                          const float* head_weight, float epsilon, Cell* keys, Cell* values,
                                                          const Index* table, const Index* begins, const Index* positions, Cell* attended,
                                                          float* partial, unsigned* arrivals, int window, float scale, float cap) {
  __shared__ float asked[GROUP][SIZE];
  __shared__ float weights[GROUP][TILE];
  __shared__ float highest[GROUP][WARPS];
  __shared__ Index places[TILE];
  __shared__ float own_key[SIZE], own_value[SIZE];
  after_the_one_before();
  const int row = blockIdx.x, shared_head = blockIdx.y, part = blockIdx.z, parts = gridDim.z;
  const int thread = threadIdx.x, lane = thread % WARP, warp = thread / WARP;
  const int end_of_all = (int)positions[row] + 1;
  const int begin_of_all = window && end_of_all > window ? end_of_all - window : 0;
  const int first = begin_of_all / TOKENS_OF_BLOCK, blocks = (end_of_all + TOKENS_OF_BLOCK - 1) / TOKENS_OF_BLOCK - first;
  const int each = (blocks + parts - 1) / parts;
  const int begin = max(begin_of_all, (first + part * each) * TOKENS_OF_BLOCK);
  const int end = min(end_of_all, (first + (part + 1) * each) * TOKENS_OF_BLOCK);
  const Index* of_row = table + begins[row];
  const bool has_own = begin < end && end == end_of_all;
  const Turn turn{cosines, sines, turning, head_weight, epsilon};
  for (int g = warp; g < GROUP + 2; g += WARPS) {
    if (g < GROUP) {
      turn_head(mixed, row, shared_head * GROUP + g, turn, asked[g]);
      for (int i = lane; i < SIZE; i += WARP) asked[g][i] = load(store(asked[g][i])) * scale;
    } else if (has_own) {
      turn_head(mixed, row, (g == GROUP ? HEADS : HEADS + KV_HEADS) + shared_head, turn, g == GROUP ? own_key : own_value);
    }
  }
  __syncthreads();
  if (has_own) {
    const int last = end - 1;
    const Index place = (of_row[last / TOKENS_OF_BLOCK] * TOKENS_OF_BLOCK + last % TOKENS_OF_BLOCK) * KV_HEADS + shared_head;
    for (int i = thread; i < SIZE; i += TILE) {
      keys[place * SIZE + i] = kept(own_key[i]);
      values[place * SIZE + i] = kept(own_value[i]);
    }
  }

  const int column = thread % SIZE, share = PARTS > 1 ? thread / SIZE : 0;
  float sums[GROUP][COLUMNS], most[GROUP], mass[GROUP];
#pragma unroll
  for (int g = 0; g < GROUP; g++) {
    most[g] = NOTHING, mass[g] = 0.0f;
    for (int c = 0; c < COLUMNS; c++) sums[g][c] = 0.0f;
  }
  for (int tile = begin; tile < end; tile += TILE) {
    __syncthreads();
    const int token = tile + thread;
    float scores[GROUP];
#pragma unroll
    for (int g = 0; g < GROUP; g++) scores[g] = token < end ? 0.0f : NOTHING;
    if (token < end) {
      const Index place = (of_row[token / TOKENS_OF_BLOCK] * TOKENS_OF_BLOCK + token % TOKENS_OF_BLOCK) * KV_HEADS + shared_head;
      places[thread] = place;
      const Cell* key = keys + place * SIZE;
#pragma unroll 4
      for (int i = 0; i < SIZE; i += 8) {
        float eight[8];
        load_eight(key + i, eight);
#pragma unroll
        for (int g = 0; g < GROUP; g++) {
#pragma unroll
          for (int j = 0; j < 8; j++) scores[g] += asked[g][i + j] * eight[j];
        }
      }
    }
#pragma unroll
    for (int g = 0; g < GROUP; g++) {
      if (cap > 0.0f && token < end) scores[g] = cap * tanhf(scores[g] / cap);
      const float of_warp = warp_max(scores[g]);
      if (lane == 0) highest[g][warp] = of_warp;
    }
    __syncthreads();
#pragma unroll
    for (int g = 0; g < GROUP; g++) {
      float higher = most[g];
      for (int w = 0; w < WARPS; w++) higher = fmaxf(higher, highest[g][w]);
      // Where all is minus infinity, what is taken away may not be.
      const float base = higher == NOTHING ? 0.0f : higher;
      const float fade = expf(most[g] - base);
      const float weight = expf(scores[g] - base);
      most[g] = higher;
      mass[g] = mass[g] * fade + weight;
      for (int c = 0; c < COLUMNS; c++) sums[g][c] *= fade;
      weights[g][thread] = weight;
    }
    __syncthreads();
    const int count = min(TILE, end - tile);
    if (share < PARTS) {
#pragma unroll 4
      for (int t = share; t < count; t += PARTS) {
        const Cell* value = values + places[t] * SIZE;
#pragma unroll
        for (int c = 0; c < COLUMNS; c++) {
          const int at = PARTS > 1 ? column : thread + c * TILE;
          if (at >= SIZE) continue;
          const float seen = load(value[at]);
#pragma unroll
          for (int g = 0; g < GROUP; g++) sums[g][c] += weights[g][t] * seen;
        }
      }
    }
  }
  // The shares of a value of a head come together, and the weights of all threads.
#pragma unroll
  for (int g = 0; g < GROUP; g++) {
    const float whole = block_sum(mass[g]);
    if (PARTS > 1) {
      weights[g][thread] = share < PARTS ? sums[g][0] : 0.0f;
      __syncthreads();
      for (int other = 1; thread < SIZE && other < PARTS; other++) sums[g][0] += weights[g][other * SIZE + thread];
    }
    const Index at_head = (Index)row * HEADS + shared_head * GROUP + g;
    float* left = partial + (at_head * parts + part) * (SIZE + 2);
    for (int c = 0; c < COLUMNS; c++) {
      const int at = thread + c * TILE;
      if (at >= SIZE) continue;
      if (parts == 1) {
        attended[at_head * SIZE + at] = store(whole > 0.0f ? sums[g][c] / whole : 0.0f);
      } else {
        left[at] = sums[g][c];
      }
    }
    if (parts > 1 && thread == 0) left[SIZE] = most[g], left[SIZE + 1] = whole;
  }
  if (parts == 1) return;
  __shared__ bool is_last;
  __threadfence();
  __syncthreads();
  unsigned* arrived = arrivals + (Index)row * KV_HEADS + shared_head;
  if (thread == 0) is_last = atomicAdd(arrived, 1) == parts - 1;
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  if (thread == 0) *arrived = 0;
  for (int i = thread; i < GROUP * SIZE; i += TILE) {
    const Index at_head = (Index)row * HEADS + shared_head * GROUP + i / SIZE;
    // Others wrote it in this launch: it is read from where all of them meet.
    const float* from = partial + at_head * parts * (SIZE + 2);
    float top = NOTHING, sum = 0.0f, whole = 0.0f;
#pragma unroll 4
    for (int p = 0; p < parts; p++) top = fmaxf(top, __ldcg(from + p * (SIZE + 2) + SIZE));
    if (top == NOTHING) top = 0.0f;
#pragma unroll 4
    for (int p = 0; p < parts; p++) {
      const float* of_part = from + p * (SIZE + 2);
      const float fade = expf(__ldcg(of_part + SIZE) - top);
      sum += __ldcg(of_part + i % SIZE) * fade;
      whole += __ldcg(of_part + SIZE + 1) * fade;
    }
    attended[at_head * SIZE + i % SIZE] = store(whole > 0.0f ? sum / whole : 0.0f);
  }
}

// wide [rows, 2 × inner], gates in front → narrow [rows, inner].
extern "C" __global__ void gate(const Cell* wide, Cell* narrow, int inner, Index count) {
  after_the_one_before();
  for (Index i = (Index)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (Index)gridDim.x * blockDim.x) {
    const Cell* row = wide + i / inner * 2 * inner + i % inner;
    narrow[i] = store(activated(load(row[0])) * load(row[inner]));
  }
}

// Tokens of a block of `choose`.
#define CHOICES 4096

// A block of NORM_THREADS for a part of a row of logits [rows, width]: of its first `among` the token of the highest, of equals the first; chosen [rows], -1
// where none is a finite number. What each part finds lies in partial [rows, parts, 2]; arrivals [rows] are zero before and after.
extern "C" __global__ void __launch_bounds__(NORM_THREADS) choose(const float* logits, int width, int among, float* partial, unsigned* arrivals,
                                                                  int* chosen) {
  __shared__ float tops[NORM_THREADS / WARP];
  __shared__ int tokens[NORM_THREADS / WARP];
  __shared__ bool is_last;
  after_the_one_before();
  const Index row = blockIdx.y;
  const int parts = gridDim.x, end = min(among, (int)(blockIdx.x + 1) * CHOICES);
  float top = NOTHING;
  int token = among;
  const auto better = [&](float other, int at) {
    if (other > top || (other == top && at < token)) top = other, token = at;
  };
  // The best of the block, for its first thread.
  const auto agree = [&] {
    for (int offset = WARP / 2; offset; offset /= 2) better(__shfl_xor_sync(EVERY, top, offset), __shfl_xor_sync(EVERY, token, offset));
    if (threadIdx.x % WARP == 0) tops[threadIdx.x / WARP] = top, tokens[threadIdx.x / WARP] = token;
    __syncthreads();
    for (int other = 1; threadIdx.x == 0 && other < NORM_THREADS / WARP; other++) better(tops[other], tokens[other]);
  };
  for (int i = blockIdx.x * CHOICES + threadIdx.x; i < end; i += NORM_THREADS) {
    const float logit = logits[row * width + i];
    if (isfinite(logit)) better(logit, i);
  }
  agree();
  if (threadIdx.x == 0) {
    float* left = partial + (row * parts + blockIdx.x) * 2;
    left[0] = top, left[1] = __int_as_float(token);
    __threadfence();
    is_last = atomicAdd(arrivals + row, 1) == parts - 1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  top = NOTHING, token = among;
  for (int part = threadIdx.x; part < parts; part += NORM_THREADS) {
    const float* left = partial + (row * parts + part) * 2;
    better(__ldcg(left), __float_as_int(__ldcg(left + 1)));
  }
  agree();
  if (threadIdx.x == 0) chosen[row] = isfinite(top) ? token : -1, arrivals[row] = 0;
}

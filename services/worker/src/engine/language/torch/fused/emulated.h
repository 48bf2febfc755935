// As much of CUDA as kernels.cu needs, on the CPU: the threads of a block take turns, from one barrier to the next, and blocks run one after the other.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define EMULATED
#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __align__(bytes) __attribute__((aligned(bytes)))

using std::isfinite;

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

constexpr size_t kStack = 64 << 10;

struct Fiber {
  ucontext_t context;
  // Of any bytes: zeros would take longer than the work.
  std::unique_ptr<char[]> stack{new char[kStack]};
  dim3 index;
  bool done;
};

// Whoever waits is let go when all of its kind have come.
struct Barrier {
  unsigned arrived = 0, generation = 0;
};

struct Block {
  std::vector<Barrier> warps;
  Barrier all;
  std::vector<float> exchanged;
  ucontext_t scheduler;
  Fiber* current = nullptr;
  std::function<void()> work;
};

inline Block* block = nullptr;
inline dim3 blockIdx, blockDim, gridDim;
#define threadIdx (block->current->index)

inline void arrive(Barrier& barrier, unsigned count) {
  const unsigned generation = barrier.generation;
  if (++barrier.arrived == count) {
    barrier.arrived = 0;
    barrier.generation++;
    return;
  }
  while (barrier.generation == generation) swapcontext(&block->current->context, &block->scheduler);
}

inline void __syncthreads() { arrive(block->all, blockDim.x); }
inline void __syncwarp() { arrive(block->warps[threadIdx.x / 32], 32); }
inline void __threadfence() {}
inline float __ldcg(const float* at) { return *at; }

template <typename T>
T __shfl_xor_sync(unsigned, T value, int offset) {
  static_assert(sizeof(T) == 4);
  const unsigned thread = threadIdx.x;
  memcpy(&block->exchanged[thread], &value, 4);
  __syncwarp();
  T other;
  memcpy(&other, &block->exchanged[thread ^ offset], 4);
  __syncwarp();
  return other;
}

inline void run_fiber() {
  block->work();
  block->current->done = true;
  swapcontext(&block->current->context, &block->scheduler);
}

inline void run_block(std::vector<Fiber>& fibers, unsigned threads, const std::function<void()>& kernel) {
  Block own;
  own.warps.resize(threads / 32), own.exchanged.resize(threads), own.work = kernel;
  block = &own;
  for (unsigned i = 0; i < threads; i++) {
    Fiber& fiber = fibers[i];
    fiber.index.x = i, fiber.index.y = fiber.index.z = 0, fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get(), fiber.context.uc_stack.ss_size = kStack;
    makecontext(&fiber.context, run_fiber, 0);
  }
  for (bool busy = true; busy;) {
    busy = false;
    for (unsigned i = 0; i < threads; i++) {
      if (fibers[i].done) continue;
      busy = true;
      own.current = &fibers[i];
      swapcontext(&own.scheduler, &fibers[i].context);
    }
  }
}

inline void launch(dim3 grid, unsigned threads, const std::function<void()>& kernel) {
  static std::vector<Fiber> fibers(1024);
  gridDim = grid, blockDim = {threads, 1, 1};
  for (blockIdx.z = 0; blockIdx.z < grid.z; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) run_block(fibers, threads, kernel);
}

template <typename To, typename From>
To bits(From from) {
  To to;
  static_assert(sizeof to == sizeof from);
  memcpy(&to, &from, sizeof to);
  return to;
}
inline float __uint_as_float(unsigned value) { return bits<float>(value); }
inline float __int_as_float(int value) { return bits<float>(value); }
inline int __float_as_int(float value) { return bits<int>(value); }
inline float rsqrtf(float value) { return 1.0f / std::sqrt(value); }
inline unsigned atomicAdd(unsigned* at, unsigned value) {
  const unsigned before = *at;
  *at += value;
  return before;
}
template <typename T>
T min(T one, T other) { return other < one ? other : one; }
template <typename T>
T max(T one, T other) { return one < other ? other : one; }

inline float half_to_float(unsigned short cell) { return (float)bits<_Float16>(cell); }
inline unsigned short float_to_half(float value) { return bits<unsigned short>((_Float16)value); }
inline unsigned short float_to_bfloat(float value) {
  unsigned word = bits<unsigned>(value);
  if (std::isnan(value)) return 0x7fff;
  word += 0x7fff + ((word >> 16) & 1);
  return word >> 16;
}
inline uint4 load_once(const void* at) { return *(const uint4*)at; }
inline void prefetch(const void*) {}
inline void after_the_one_before() {}

// Behind kernels.cu: products of one row with a matrix [columns, depth], of which a warp sums a column, or two: as fast as the memory gives the weights. Products
// of more rows are cuBLAS's. A block has PRODUCT_WARPS. Rows lie in shared memory: there are PRODUCTS where they fit.

#if PRODUCTS
#define PRODUCT_WARPS (NORM_THREADS / WARP)
#define EIGHTS (WARP * 8)

// Before the row is ready, the column's weights are on their way already.
template <int DEPTH>
__device__ __forceinline__ void fetch(const Cell* column) {
  for (int i = threadIdx.x % WARP * 64; i < DEPTH; i += WARP * 64) prefetch(column + i);
}

// The column's sum with the row, which lies in shared memory, for all threads of the warp.
template <int DEPTH>
__device__ __forceinline__ float dot(const Cell* column, const Cell* row) {
  constexpr int AT_ONCE = 8;
  float sum = 0.0f;
  for (int begin = threadIdx.x % WARP * 8; begin < DEPTH; begin += AT_ONCE * EIGHTS) {
    uint4 words[AT_ONCE];
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      if (begin + i * EIGHTS < DEPTH) words[i] = load_once(column + begin + i * EIGHTS);
    }
#pragma unroll
    for (int i = 0; i < AT_ONCE; i++) {
      if (begin + i * EIGHTS >= DEPTH) continue;
      float weights[8], values[8];
      load_eight((const Cell*)&words[i], weights);
      load_eight(row + begin + i * EIGHTS, values);
#pragma unroll
      for (int j = 0; j < 8; j++) sum += weights[j] * values[j];
    }
  }
  return warp_sum(sum);
}

__device__ __forceinline__ int product_column() { return blockIdx.x * PRODUCT_WARPS + threadIdx.x / WARP; }

// The norm of hidden [HIDDEN] in shared memory.
__device__ __forceinline__ void normed_row(const float* hidden, const float* weight, const float* bias, float epsilon, Cell* row) {
  float own[EACH];
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    const int at = threadIdx.x + i * NORM_THREADS;
    own[i] = at < HIDDEN ? hidden[at] : 0.0f;
  }
  normalise(own, weight, bias, epsilon);
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    const int at = threadIdx.x + i * NORM_THREADS;
    if (at < HIDDEN) row[at] = store(own[i]);
  }
  __syncthreads();
}

// hidden's norm × matrix + added → out [columns].
template <typename Out>
__device__ __forceinline__ void norm_product(const float* hidden, const float* weight, const float* bias, float epsilon, const Cell* matrix,
                                             const Cell* added, Out out, int columns) {
  __shared__ __align__(16) Cell row[HIDDEN];
  const int column = product_column();
  const Cell* own = matrix + (Index)min(column, columns - 1) * HIDDEN;
  fetch<HIDDEN>(own);
  after_the_one_before();
  normed_row(hidden, weight, bias, epsilon, row);
  if (column >= columns) return;
  const float sum = dot<HIDDEN>(own, row) + (added ? load(added[column]) : 0.0f);
  if (threadIdx.x % WARP == 0) out(column, sum);
}

extern "C" __global__ void __launch_bounds__(NORM_THREADS) norm_mix(const float* hidden, const float* weight, const float* bias, float epsilon,
                                                                    const Cell* matrix, const Cell* added, Cell* out, int columns) {
  norm_product(hidden, weight, bias, epsilon, matrix, added, [out](int at, float sum) { out[at] = store(sum); }, columns);
}

extern "C" __global__ void __launch_bounds__(NORM_THREADS) norm_head(const float* hidden, const float* weight, const float* bias, float epsilon,
                                                                     const Cell* matrix, const Cell* added, float* out, int columns) {
  norm_product(hidden, weight, bias, epsilon, matrix, added, [out](int at, float sum) { out[at] = load(store(sum)); }, columns);
}

// Without a gate: out [INNER] is the activation of hidden's norm × matrix.
extern "C" __global__ void __launch_bounds__(NORM_THREADS) norm_widen(const float* hidden, const float* weight, const float* bias, float epsilon,
                                                                      const Cell* matrix, const Cell* added, Cell* out) {
  norm_product(hidden, weight, bias, epsilon, matrix, added, [out](int at, float sum) { out[at] = store(activated(sum)); }, INNER);
}

// With one: the gates are the first INNER columns of the matrix.
extern "C" __global__ void __launch_bounds__(NORM_THREADS) norm_gate(const float* hidden, const float* weight, const float* bias, float epsilon,
                                                                     const Cell* matrix, const Cell* added, Cell* out) {
  __shared__ __align__(16) Cell row[HIDDEN];
  const int column = product_column(), known = min(column, INNER - 1);
  const Cell *gates = matrix + (Index)known * HIDDEN, *wide = gates + (Index)INNER * HIDDEN;
  fetch<HIDDEN>(gates);
  fetch<HIDDEN>(wide);
  after_the_one_before();
  normed_row(hidden, weight, bias, epsilon, row);
  if (column >= INNER) return;
  const float opened = dot<HIDDEN>(gates, row) + (added ? load(added[column]) : 0.0f);
  const float through = dot<HIDDEN>(wide, row) + (added ? load(added[INNER + column]) : 0.0f);
  if (threadIdx.x % WARP == 0) out[column] = store(activated(opened) * through);
}

// hidden [HIDDEN] += given [DEPTH] × matrix + added.
template <int DEPTH>
__device__ __forceinline__ void add_product(const Cell* given, const Cell* matrix, const Cell* added, float* hidden) {
  __shared__ __align__(16) Cell row[DEPTH];
  const int column = product_column();
  const Cell* own = matrix + (Index)min(column, HIDDEN - 1) * DEPTH;
  fetch<DEPTH>(own);
  after_the_one_before();
  for (int i = threadIdx.x * 8; i < DEPTH; i += NORM_THREADS * 8) *(uint4*)(row + i) = *(const uint4*)(given + i);
  __syncthreads();
  if (column >= HIDDEN) return;
  const float sum = dot<DEPTH>(own, row) + (added ? load(added[column]) : 0.0f);
  if (threadIdx.x % WARP == 0) hidden[column] += load(store(sum));
}

extern "C" __global__ void __launch_bounds__(NORM_THREADS) add_attended(const Cell* given, const Cell* matrix, const Cell* added, float* hidden) {
  add_product<HEADS * SIZE>(given, matrix, added, hidden);
}

extern "C" __global__ void __launch_bounds__(NORM_THREADS) add_narrow(const Cell* given, const Cell* matrix, const Cell* added, float* hidden) {
  add_product<INNER>(given, matrix, added, hidden);
}
#endif

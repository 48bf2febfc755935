// kernels.cu and products.cu against loops that do the same in double precision. Ends with 1, and says so, where one of them does not.
#include "emulated.h"
// What comes next needs what stands above.
#include "kernels.cu"
#include "products.cu"

#include <cstdio>
#include <random>

namespace {

using Floats = std::vector<float>;
using Cells = std::vector<Cell>;

constexpr int ROWS = 4, BLOCKS = 24, EACH_ROW = 6;
const double TOLERANCE = KIND == 0 ? 2e-5 : KIND == 1 ? 4e-3 : 3e-2;
std::mt19937 chance(7);
int wrong = 0;

float drawn() { return std::uniform_real_distribution<float>(-1, 1)(chance); }

Floats floats(size_t count) {
  Floats drawn_ones(count);
  for (float& value : drawn_ones) value = drawn();
  return drawn_ones;
}

struct alignas(16) Aligned {
  char bytes[16];
};

// Cells that lie as the device's memory does.
struct Memory {
  std::vector<Aligned> room;
  explicit Memory(size_t count) : room(count * sizeof(Cell) / 16 + 1) {
    for (size_t i = 0; i < count; i++) data()[i] = store(drawn());
  }
  Cell* data() { return (Cell*)room.data(); }
  double operator[](size_t i) { return load(data()[i]); }
};

void expect(const char* what, double found, double wanted) {
  if (std::abs(found - wanted) <= TOLERANCE * (1 + std::abs(wanted))) return;
  if (wrong++ < 20) printf("%s is %g, and should be %g\n", what, found, wanted);
}

double active(double x) {
  switch (ACTIVATION) {
    case 1: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case 2: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case 3: return x / (1 + std::exp(-x));
    case 4: return x > 0 ? x : 0;
    default: return x;
  }
}

std::vector<double> norm(const double* row, const Floats& weight, const Floats& bias, int width) {
  double mean = 0, squares = 0;
  for (int i = 0; LAYER_NORM && i < width; i++) mean += row[i] / width;
  for (int i = 0; i < width; i++) squares += (row[i] - mean) * (row[i] - mean) / width;
  std::vector<double> normed(width);
  for (int i = 0; i < width; i++) normed[i] = (row[i] - mean) / std::sqrt(squares + 1e-5) * weight[i] + (LAYER_NORM ? bias[i] : 0);
  return normed;
}

void norms() {
  Floats hidden = floats(ROWS * HIDDEN), weight = floats(HIDDEN), bias = floats(HIDDEN);
  Memory given(ROWS * HIDDEN), normed(ROWS * HIDDEN);
  std::vector<double> sums(ROWS * HIDDEN);
  for (int i = 0; i < ROWS * HIDDEN; i++) sums[i] = hidden[i] + given[i];
  launch({ROWS}, NORM_THREADS, [&] {
    add_norm(hidden.data(), given.data(), weight.data(), LAYER_NORM ? bias.data() : nullptr, normed.data(), 1e-5f);
  });
  for (int row = 0; row < ROWS; row++) {
    const auto wanted = norm(&sums[row * HIDDEN], weight, bias, HIDDEN);
    for (int i = 0; i < HIDDEN; i++) {
      expect("a sum", hidden[row * HIDDEN + i], sums[row * HIDDEN + i]);
      expect("a norm", normed[row * HIDDEN + i], wanted[i]);
    }
  }
}

struct Heads {
  int turning = SIZE >= 16 ? SIZE / 2 : SIZE;
  Floats cosines = floats(ROWS * turning), sines = floats(ROWS * turning), weight = floats((HEADS + KV_HEADS) * SIZE);
  Memory mixed{(size_t)ROWS * ALL_HEADS * SIZE};
  bool normed = false;

  const float* head_weight() const { return normed ? weight.data() : nullptr; }

  std::vector<double> turned(int row, int head) {
    std::vector<double> own(SIZE), out;
    for (int i = 0; i < SIZE; i++) own[i] = mixed[((size_t)row * ALL_HEADS + head) * SIZE + i];
    if (head >= HEADS + KV_HEADS) return own;
    double squares = 0;
    for (double value : own) squares += value * value / SIZE;
    for (int i = 0; normed && i < SIZE; i++) own[i] *= weight[head * SIZE + i] / std::sqrt(squares + 1e-6);
    out = own;
    for (int i = 0; i < turning; i++) {
      out[i] = own[i] * cosines[row * turning + i] + own[(i + turning / 2) % turning] * sines[row * turning + i];
    }
    return out;
  }
};

void turns(bool normed) {
  Heads heads;
  heads.normed = normed;
  Memory keys(BLOCKS * TOKENS_OF_BLOCK * KV_HEADS * SIZE), values(BLOCKS * TOKENS_OF_BLOCK * KV_HEADS * SIZE), queries(ROWS * HEADS * SIZE);
  const std::vector<Index> slots = {3, -1, 70, BLOCKS * TOKENS_OF_BLOCK - 1};
  heads.mixed.data()[(2 * ALL_HEADS + HEADS + KV_HEADS) * SIZE] = store(NAN);
  const double before = keys[0];
  launch({ROWS, (ALL_HEADS + WARPS - 1) / WARPS}, TILE, [&] {
    turn_and_keep(heads.mixed.data(), heads.cosines.data(), heads.sines.data(), heads.turning, heads.head_weight(), 1e-6f, slots.data(), queries.data(),
                  keys.data(), values.data());
  });
  expect("what nobody wrote to", keys[0], before);
  for (int row = 0; row < ROWS; row++) {
    for (int head = 0; head < ALL_HEADS; head++) {
      const auto wanted = heads.turned(row, head);
      for (int i = 0; i < SIZE; i++) {
        if (head < HEADS) {
          expect("a query", queries[((size_t)row * HEADS + head) * SIZE + i], wanted[i]);
        } else if (slots[row] >= 0) {
          const bool is_value = head >= HEADS + KV_HEADS;
          const int of_key = head - HEADS - (is_value ? KV_HEADS : 0);
          const size_t at = (slots[row] * KV_HEADS + of_key) * SIZE + i;
          expect("what is kept", is_value ? values[at] : keys[at], std::isfinite(wanted[i]) ? wanted[i] : 0);
        }
      }
    }
  }
}

void attention(bool normed, int window, float cap, unsigned parts) {
  Heads heads;
  heads.normed = normed;
  Memory keys(BLOCKS * TOKENS_OF_BLOCK * KV_HEADS * SIZE), values(BLOCKS * TOKENS_OF_BLOCK * KV_HEADS * SIZE), attended(ROWS * HEADS * SIZE);
  const std::vector<Index> positions = {0, 131, -1, 63};
  std::vector<Index> table, begins;
  for (int row = 0; row < ROWS; row++) {
    begins.push_back(table.size());
    for (int i = 0; i < EACH_ROW; i++) table.push_back((i * 7 % EACH_ROW) * ROWS + row);
  }
  Floats partial = floats(ROWS * HEADS * parts * (SIZE + 2));
  std::vector<unsigned> arrivals(ROWS * KV_HEADS);
  const float scale = 0.3f;
  launch({ROWS, KV_HEADS, parts}, TILE, [&] {
    attend(heads.mixed.data(), heads.cosines.data(), heads.sines.data(), heads.turning, heads.head_weight(), 1e-6f, keys.data(), values.data(),
           table.data(), begins.data(), positions.data(), attended.data(), partial.data(), arrivals.data(), window, scale, cap);
  });
  for (unsigned arrived : arrivals) expect("what has arrived", arrived, 0);
  for (int row = 0; row < ROWS; row++) {
    for (int head = 0; head < HEADS; head++) {
      const int of_key = head / GROUP, to = positions[row] + 1, from = window && to > window ? to - window : 0;
      const auto query = heads.turned(row, head);
      const auto place = [&](int token) {
        return ((table[begins[row] + token / TOKENS_OF_BLOCK] * TOKENS_OF_BLOCK + token % TOKENS_OF_BLOCK) * KV_HEADS + of_key) * SIZE;
      };
      std::vector<double> sums(SIZE);
      double mass = 0;
      for (int token = from; token < to; token++) {
        double score = 0;
        for (int i = 0; i < SIZE; i++) score += query[i] * keys[place(token) + i] * scale;
        if (cap > 0) score = cap * std::tanh(score / cap);
        mass += std::exp(score);
        for (int i = 0; i < SIZE; i++) sums[i] += std::exp(score) * values[place(token) + i];
      }
      for (int i = 0; i < SIZE; i++) {
        expect("what is attended to", attended[((size_t)row * HEADS + head) * SIZE + i], mass > 0 ? sums[i] / mass : 0);
        if (to > 0 && head % GROUP == 0) {
          expect("a key of its own", keys[place(to - 1) + i], heads.turned(row, HEADS + of_key)[i]);
          expect("a value of its own", values[place(to - 1) + i], heads.turned(row, HEADS + KV_HEADS + of_key)[i]);
        }
      }
    }
  }
}

void gates() {
  Memory wide(ROWS * 2 * INNER), narrow(ROWS * INNER);
  launch({3}, NORM_THREADS, [&] { gate(wide.data(), narrow.data(), INNER, ROWS * INNER); });
  for (int i = 0; i < ROWS * INNER; i++) {
    const size_t at = (size_t)i / INNER * 2 * INNER + i % INNER;
    expect("what is gated", narrow[i], active(wide[at]) * wide[at + INNER]);
  }
}

void choices() {
  const int width = 9000, among = 8500;
  Floats logits = floats(ROWS * width);
  const int likeliest[ROWS] = {8499, 4096, -1, 17};
  for (int row = 0; row < ROWS; row++) {
    logits[row * width + 8600] = 9;
    if (likeliest[row] >= 0) logits[row * width + likeliest[row]] = 3;
  }
  // Of two as high the first; and a row of nothing.
  logits[1 * width + 8000] = 3;
  for (int i = 0; i < width; i++) logits[2 * width + i] = i % 2 ? NAN : -INFINITY;
  logits[3 * width + 18] = NAN;
  logits[3 * width + 19] = INFINITY;
  const unsigned parts = (among + CHOICES - 1) / CHOICES;
  Floats partial(ROWS * parts * 2);
  std::vector<unsigned> arrivals(ROWS);
  std::vector<int> chosen(ROWS);
  launch({parts, ROWS}, NORM_THREADS, [&] { choose(logits.data(), width, among, partial.data(), arrivals.data(), chosen.data()); });
  for (int row = 0; row < ROWS; row++) expect("the likeliest", chosen[row], likeliest[row]);
}

#if PRODUCTS
double product(const std::vector<double>& row, Memory& matrix, size_t column, Memory& added) {
  double sum = added[column];
  for (size_t i = 0; i < row.size(); i++) sum += row[i] * matrix[column * row.size() + i];
  return sum;
}

unsigned blocks_for(int columns) { return (columns + PRODUCT_WARPS - 1) / PRODUCT_WARPS; }

void products() {
  const int mixed_columns = ALL_HEADS * SIZE, words = 101;
  Floats hidden = floats(HIDDEN), weight = floats(HIDDEN), bias = floats(HIDDEN), logits(words);
  const float* biases = LAYER_NORM ? bias.data() : nullptr;
  Memory mix(mixed_columns * HIDDEN), head(words * HIDDEN), widen(2 * INNER * HIDDEN), added(mixed_columns + 2 * INNER + words);
  Memory mixed(mixed_columns), wide(INNER), gated(INNER);
  const std::vector<double> values(hidden.begin(), hidden.end());
  auto row = norm(values.data(), weight, bias, HIDDEN);
  for (double& value : row) value = load(store(value));
  const auto start = [&](int columns, auto kernel, auto... more) {
    launch({blocks_for(columns)}, NORM_THREADS, [&] { kernel(hidden.data(), weight.data(), biases, 1e-5f, more...); });
  };
  start(mixed_columns, norm_mix, mix.data(), added.data(), mixed.data(), mixed_columns);
  start(words, norm_head, head.data(), added.data(), logits.data(), words);
  start(INNER, norm_widen, widen.data(), added.data(), wide.data());
  start(INNER, norm_gate, widen.data(), added.data(), gated.data());
  for (int i = 0; i < mixed_columns; i++) expect("queries, keys and values", mixed[i], product(row, mix, i, added));
  for (int i = 0; i < words; i++) expect("a logit", logits[i], product(row, head, i, added));
  for (int i = 0; i < INNER; i++) {
    expect("the middle", wide[i], active(product(row, widen, i, added)));
    expect("the gated middle", gated[i], active(product(row, widen, i, added)) * product(row, widen, INNER + i, added));
  }
  Memory attended(HEADS * SIZE), matrix(HIDDEN * HEADS * SIZE), middle(INNER), narrow(HIDDEN * INNER);
  const auto numbers = [](Memory& memory, int count) {
    std::vector<double> all;
    for (int i = 0; i < count; i++) all.push_back(memory[i]);
    return all;
  };
  launch({blocks_for(HIDDEN)}, NORM_THREADS, [&] { add_attended(attended.data(), matrix.data(), added.data(), hidden.data()); });
  for (int i = 0; i < HIDDEN; i++) expect("with what was attended to", hidden[i], values[i] + product(numbers(attended, HEADS * SIZE), matrix, i, added));
  const std::vector<double> then(hidden.begin(), hidden.end());
  launch({blocks_for(HIDDEN)}, NORM_THREADS, [&] { add_narrow(middle.data(), narrow.data(), added.data(), hidden.data()); });
  for (int i = 0; i < HIDDEN; i++) expect("with the middle", hidden[i], then[i] + product(numbers(middle, INNER), narrow, i, added));
}
#endif

}  // namespace

int main() {
  norms();
  for (bool normed : {false, true}) {
    turns(normed);
    attention(normed, 0, 0, 1);
    attention(normed, 50, 0, 3);
    attention(normed, 0, 20, 7);
  }
  gates();
  choices();
#if PRODUCTS
  products();
#endif
  printf("%d wrong\n", wrong);
  return wrong > 0;
}

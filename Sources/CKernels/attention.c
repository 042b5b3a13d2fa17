/* Attention forward: scores of a panel of queries against all keys, their softmax, times V.
 *
 * Everything is kept transposed: scores[key][query] = K Q^T with K as the tiled factor and the
 * queries as the panel, so that the softmaxed scores are the packed panel of the second product,
 * out[dim][query] = V^T P. K and V are therefore packed as tiles, once. */
#include "attention.h"
#include "gemm_variants.h"
#include <math.h>

static int64_t tiles_of(int64_t rows) {
    const int most = uspi_variant()->most_rows;
    return (rows + most - 1) / most;
}

/* Words of K as tiles of keys; V as tiles of dimensions follows. */
static int64_t k_words(int64_t keys, int64_t head_dim, int32_t compute) {
    return keys * steps_of(head_dim, compute);
}

size_t uspi_attention_packed_size(int64_t keys, int64_t head_dim, int32_t compute) {
    const int64_t words =
        k_words(keys, head_dim, compute) + head_dim * steps_of(keys, compute) + LANES;
    return (size_t)words * sizeof(uint32_t);
}

void uspi_attention_pack(const uspi_attention *attention, void *packed) {
    const pack_function pack = uspi_variant()->pack;
    const int64_t keys = attention->keys, dims = attention->head_dim;
    const int32_t type = attention->type, compute = attention->compute;
    uint32_t *words = packed;
    int64_t tiles = tiles_of(keys);
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t begin = tile_begin(keys, tiles, t);
        lanes_source source = {.lane_stride = attention->k_row, .k_stride = 1, .type = type};
        source.count = (int)(tile_begin(keys, tiles, t + 1) - begin);
        for (int l = 0; l < source.count; l++) {
            source.lane[l] = element(attention->k, (begin + l) * attention->k_row, type);
        }
        pack(&source, dims, source.count, compute, words + begin * steps_of(dims, compute),
             source.count);
    }
    words += k_words(keys, dims, compute);
    tiles = tiles_of(dims);
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t begin = tile_begin(dims, tiles, t);
        lanes_source source = {.lane_stride = 1, .k_stride = attention->v_row, .type = type};
        source.count = (int)(tile_begin(dims, tiles, t + 1) - begin);
        for (int l = 0; l < source.count; l++) {
            source.lane[l] = element(attention->v, begin + l, type);
        }
        pack(&source, keys, source.count, compute, words + begin * steps_of(keys, compute),
             source.count);
    }
}

size_t uspi_attention_workspace(int64_t keys, int64_t head_dim, int32_t compute) {
    const int64_t rows = steps_of(head_dim, compute) + keys + 1 + head_dim;
    return (size_t)rows * PANEL * sizeof(uint32_t) + 64;
}

/* A panel of at most PANEL queries from `row`, packed as B. */
static void pack_queries(const uspi_attention *attention, int64_t row, int queries,
                         uint32_t *panel) {
    for (int half = 0; half < PANEL; half += LANES) {
        lanes_source source = {
            .lane_stride = attention->q_row, .k_stride = 1, .type = attention->type};
        const int left = queries - half;
        source.count = left < 0 ? 0 : left < LANES ? left : LANES;
        if (source.count == 0 && half > 0) break;
        for (int l = 0; l < source.count; l++) {
            source.lane[l] =
                element(attention->q, (row + half + l) * attention->q_row, attention->type);
        }
        uspi_variant()->pack(&source, attention->head_dim, LANES, attention->compute, panel + half,
                             PANEL);
    }
}

enum { MOST_WISHES = 24 };

/* What the tiles of a product ask for: each tile one column of cache lines, at a row a step. */
typedef struct wish_list {
    coming lines[MOST_WISHES];
    int64_t count;
} wish_list;

/* The lines of `width` elements at each row from `row`. */
static void wish(wish_list *list, const void *base, int64_t row, int64_t stride, int64_t width,
                 int32_t type) {
    const int64_t size = type == USPI_BF16 ? 2 : 4;
    const char *first = (const char *)base + row * stride * size;
    const char *at = first - (uintptr_t)first % 64;
    for (; at < first + width * size && list->count < MOST_WISHES; at += 64) {
        list->lines[list->count++] = (coming){at, stride * size};
    }
}

/* While a panel's scores are made: the panel after it, where its result goes, and as much of the
 * next head as brings all of it before this one ends. */
static void wish_ahead(wish_list *list, const uspi_attention *attention, int64_t row) {
    const int32_t type = attention->type;
    const int64_t dims = attention->head_dim;
    list->count = 0;
    if (row + PANEL < attention->queries) {
        wish(list, attention->q, row + PANEL, attention->q_row, dims, type);
    } else if (attention->next_q) {
        wish(list, attention->next_q, 0, attention->next_row, dims, type);
    }
    wish(list, attention->out, row, attention->out_row, dims, attention->out_type);
    if (!attention->next_k) return;
    const int64_t key = row * attention->keys / attention->queries;
    wish(list, attention->next_k, key, attention->next_row, dims, type);
    wish(list, attention->next_v, key, attention->next_row, dims, type);
}

void uspi_add_bias(const uspi_attention *attention, int64_t row, int64_t count, float *scores,
                   int64_t columns) {
    if (!attention->bias) return;
    const float unscaled = 1.0f / attention->scale;
    for (int64_t k = 0; k < attention->keys; k++) {
        const int32_t *place = attention->place + k * attention->queries + row;
        for (int64_t q = 0; q < count; q++) {
            scores[k * columns + q] += unscaled * attention->bias[place[q]];
        }
    }
}

void uspi_attention_rows(const uspi_attention *attention, const void *packed, int64_t row_begin,
                         int64_t row_end, void *workspace) {
    const kernel_variant *variant = uspi_variant();
    const int32_t compute = attention->compute;
    const int64_t keys = attention->keys, dims = attention->head_dim;
    const int64_t dim_steps = steps_of(dims, compute), key_steps = steps_of(keys, compute);
    const tile_function *kernels = uspi_tiles(compute);
    tiled_factor k = {kernels, packed, dim_steps, keys, tiles_of(keys)};
    tiled_factor v = {kernels, k.words + k_words(keys, dims, compute), key_steps, dims,
                      tiles_of(dims)};
    uint32_t *queries = line_begin(workspace);
    float *sums = (float *)queries + dim_steps * PANEL;
    float *scores = sums + dims * PANEL;
    for (int64_t row = row_begin; row < row_end; row += PANEL) {
        const int count = row_end - row < PANEL ? (int)(row_end - row) : PANEL;
        if (count <= PANEL / 2) k.kernels = v.kernels = kernels + variant->most_rows;
        wish_list ahead;
        wish_ahead(&ahead, attention, row);
        pack_queries(attention, row, count, queries);
        uspi_panel_product(&k, queries, scores, ahead.lines, ahead.count);
        uspi_add_bias(attention, row, count, scores, PANEL);
        softmax_result result;
        variant->softmax_columns(scores, keys, count, attention->scale, compute, &result);
        uspi_panel_product(&v, (const uint32_t *)scores, sums, NULL, 0);
        float factor[PANEL];
        for (int q = 0; q < count; q++) factor[q] = 1.0f / result.sum[q];
        const int32_t type = attention->out_type;
        void *out = (void *)(uintptr_t)element(attention->out, row * attention->out_row, type);
        variant->write_columns(sums, dims, count, factor, out, attention->out_row, type);
        for (int q = 0; attention->logsumexp && q < count; q++) {
            attention->logsumexp[row + q] =
                attention->scale * result.maximum[q] + logf(result.sum[q]);
        }
    }
}

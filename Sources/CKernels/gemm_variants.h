/* What each instruction set provides for products, activations and attention: one table each. */
#ifndef USPI_GEMM_VARIANTS_H
#define USPI_GEMM_VARIANTS_H
#include "activation.h"
#include "attention.h"
#include "gemm.h"
#include "heads.h"
#include "isa.h"
#include "norm.h"
#include "winograd.h"

/* Columns of a packed B panel, and of the accumulated tile. */
enum { PANEL = 32, LANES = 16, SEGMENT = USPI_WINOGRAD_BLOCK };

/* Queries of one block in the gradient of attention. */
enum { MOST_QUERIES = 256 };

/* Words of an 8-bit lane behind its integers (see int8_tile.h). */
enum { INT8_ENDS = 2 };

/* A packed factor is made of 32-bit words: one f32, two bf16 or four 8-bit integers with consecutive
 * k (the lowest bits first). `words` of a lane are these, its `steps` have also what ends it. */
static inline int64_t words_of(int64_t k, int32_t compute) {
    return compute == USPI_INT8 ? (k + 3) / 4 : compute == USPI_BF16 ? (k + 1) / 2 : k;
}
static inline int64_t steps_of(int64_t k, int32_t compute) {
    return words_of(k, compute) + (compute == USPI_INT8 ? INT8_ENDS : 0);
}

/* Memory that will be needed soon: asked for on the way, `stride` bytes at each step. */
typedef struct coming {
    const char *at;
    int64_t stride;
} coming;

/* Tile t's share of `depth` packed rows, for which `tiles` tiles of so many steps ask together. */
static inline coming share_of(const uint32_t *rows, int64_t depth, int64_t tiles, int64_t steps,
                              int64_t t) {
    const int64_t bytes = depth * PANEL * (int64_t)sizeof(uint32_t), all = tiles * steps;
    const int64_t stride = all ? (bytes + all - 1) / all : 0;
    return (coming){(const char *)rows + t * steps * stride, stride};
}

/* tile[rows][PANEL] = A B over `steps` words; a is [steps][rows] words, b [steps][PANEL]. */
typedef void (*tile_function)(int64_t steps, const void *a, const void *b, float *tile,
                              coming next);

/* tile[rows][PANEL] = (add ? tile : 0) + A B over segments of SEGMENT steps; row i of A's segment s
 * is at a + offset[s] + i * SEGMENT, b is [segments * SEGMENT][PANEL]. */
typedef void (*segment_function)(int64_t segments, const ptrdiff_t *offset, const float *a,
                                 const float *b, float *tile, int add);

/* Up to LANES vectors along k to be packed side by side: lane l has its elements at
 * lane[l] + p * k_stride (a NULL lane is zeros), of `type`. With k_stride != 1 all lanes must be
 * base + l * lane_stride. */
typedef struct lanes_source {
    const void *lane[LANES];
    int64_t lane_stride, k_stride;
    int32_t type;
    int count;  /* lanes that exist */
    int biased; /* 8-bit integers have 128 added: those of B */
} lanes_source;

/* Write word s of lane l to target[s * target_stride + l] for the existing lanes, and zeros for
 * lanes up to `width`. With k_stride == 1 it may write up to LANES words at each step, so that a
 * target_stride below LANES needs LANES words of slack behind it, and later steps are written
 * later. */
typedef void (*pack_function)(const lanes_source *source, int64_t k, int width, int32_t compute,
                              uint32_t *target, int64_t target_stride);

/* The end of a product: rows i.. and columns j.. of C from the accumulated tile. */
typedef void (*finish_function)(const uspi_gemm *g, int64_t i, int rows, int64_t j, int columns,
                                const float *tile);

/* Attention, on one panel of queries: scores [keys][PANEL] with keys down the rows. Only the first
 * half of the columns counts where there are at most PANEL / 2 queries. */
typedef struct softmax_result {
    float maximum[PANEL], sum[PANEL]; /* of the unscaled scores; of exp(scale (score - maximum)) */
} softmax_result;

/* The factors of one tile of Strassen's products. */
typedef struct strassen_factors {
    int64_t pairs;               /* of k */
    const float *left;           /* what strassen_left made */
    const float *panel[2];       /* two packed panels of B, from their part of k on */
    float *sums;                 /* their four sums, [pairs][PANEL] each */
    int makes_sums;              /* or they are there already */
} strassen_factors;

/* Where such a tile is in C, and its sums. */
typedef struct strassen_place {
    const uspi_gemm *g;
    int64_t row, column;
    int pairs, rows;             /* of rows; rows == 2 pairs, or one less */
    int first, last;             /* piece of k: sums begin; C is written */
    float *tile[2];              /* [2 pairs][PANEL] for each panel */
} strassen_place;

typedef struct kernel_variant {
    int most_rows; /* rows of the largest tile */
    /* [rows - 1] for whole panels, [most_rows + rows - 1] for their first half alone */
    const tile_function *tile_f32, *tile_bf16, *tile_int8;
    const tile_function *tile_int8_vnni; /* for processors with VNNI beyond this set; or NULL */
    int segment_rows;
    const segment_function *segments_f32;         /* [rows - 1], of at most segment_rows */
    int double_columns;                           /* of an f64 tile; it has most_rows rows */
    void (*double_tile)(int64_t steps, const double *a, const double *b, double *tile);
    /* Strassen's products (see strassen_tile.h) */
    void (*strassen_left)(float *const quarter[2][2], int64_t count, int64_t size, float *factors);
    void (*strassen_tile)(const strassen_factors *, const strassen_place *, coming next);
    void (*winograd_input)(const uspi_winograd *, ptrdiff_t block, float *stage);
    void (*winograd_output)(const uspi_winograd *, ptrdiff_t panel, ptrdiff_t begin, ptrdiff_t end);
    void (*winograd_kernel)(const uspi_winograd_weight *, const float *, ptrdiff_t block,
                            ptrdiff_t panel, float *, ptrdiff_t kernel_row);
    void (*winograd_spread)(const uspi_winograd *, ptrdiff_t panel, ptrdiff_t begin, ptrdiff_t end);
    void (*outer_f32)(int64_t steps, const float *a, const float *b, float *tile);
    void (*winograd_kernel_gradient)(const uspi_winograd_weight *, const float *,
                                     ptrdiff_t kernel_row, ptrdiff_t block, ptrdiff_t panel,
                                     float *);
    pack_function pack;
    finish_function finish;
    /* attention (see attention_panel.h) */
    void (*softmax_columns)(float *scores, int64_t keys, int queries, float scale,
                            int32_t compute, softmax_result *result);
    void (*write_columns)(const float *sums, int64_t dims, int queries, const float *factor,
                          void *out, int64_t out_row, int32_t type);
    void (*softmax_gradient)(float *scores, float *products, int64_t keys, int64_t columns,
                             float scale, const float *logsumexp);
    void (*layer_norm)(const uspi_layer_norm *, const float *x, ptrdiff_t rows, void *y,
                       float *statistics);
    void (*head_rows_forward)(const uspi_head_rows *, int64_t begin, int64_t end, void *y);
    void (*head_rows_backward)(const uspi_head_rows *, int64_t count, float *dy, float *dx,
                               int64_t dx_row, int32_t accumulate, float *sums);
    void (*activation_forward)(int32_t, const float *, float *, int64_t);
    void (*activation_backward)(int32_t, const float *, const float *, float *, int64_t);
    void (*activation_forward_bf16)(int32_t, const uint16_t *, uint16_t *, int64_t);
    void (*gated_forward)(int32_t, int32_t, const void *, const void *, void *, int64_t);
    void (*gated_backward)(int32_t, int32_t, const void *, const void *, const float *, float *,
                           float *, int64_t);
    void (*bf16_from_f32)(const float *, uint16_t *, int64_t);
    void (*f32_from_bf16)(const uint16_t *, float *, int64_t);
} kernel_variant;

extern const kernel_variant uspi_variant_baseline;
#if defined(__x86_64__)
extern const kernel_variant uspi_variant_avx2, uspi_variant_avx512, uspi_variant_avx512_bf16;
extern const tile_function uspi_int8_avx_vnni[], uspi_int8_avx512_vnni[];
#endif

/* The table of the level in use, and its tiles of factors of this type. */
const kernel_variant *uspi_variant(void);
const tile_function *uspi_tiles(int32_t compute);

/* `rows` rows in `tiles` tiles of nearly equal height: the first row of tile t. */
static inline int64_t tile_begin(int64_t rows, int64_t tiles, int64_t t) {
    return rows * t / tiles;
}

/* Words of one of Strassen's left factors, with slack for whole vectors. */
static inline int64_t strassen_factor(int64_t pairs, int64_t rows) { return pairs * rows + LANES; }

/* A packed left factor: [tile][step][rows of the tile] words. */
typedef struct tiled_factor {
    const tile_function *kernels;
    const uint32_t *words;
    int64_t steps, rows, tiles;
} tiled_factor;

/* sums[rows][PANEL] = A B with one packed panel of B; the first tiles ask for what is `next`. */
void uspi_panel_product(const tiled_factor *a, const uint32_t *b, float *sums, const coming *next,
                        int64_t asking);

/* Pack `rows` rows of A, `apart` rows from one to the next, as one tile of `width` lanes (zeros
 * past the existing ones); LANES words of slack behind the tile. */
void uspi_pack_tile(const uspi_gemm *g, int64_t row, int rows, int64_t apart, int width,
                    uint32_t *target);

/* A product whose row 0 is `row` of these normed rows, made in `memory` of the normed workspace. */
uspi_gemm uspi_normed_part(const uspi_gemm *g, int64_t row, int64_t rows, void *memory);

/* Add the bias to the unscaled scores [keys][columns] of `count` queries from `row`. */
void uspi_add_bias(const uspi_attention *attention, int64_t row, int64_t count, float *scores,
                   int64_t columns);

/* Ask for what the end of a tile reads and writes, while its sums are still to be made: rows
 * `apart` from one to the next. */
void uspi_expect_end(const uspi_gemm *g, int64_t row, int rows, int64_t apart, int64_t column);

/* What is computed beside another product (see uspi_beside): a tile's share of the panels of the
 * next of `turns` turns, for which `tiles` tiles of so many steps ask; and that turn. */
coming uspi_beside_share(const uspi_beside *beside, int64_t turns, int64_t tiles, int64_t steps,
                         int64_t tile);
void uspi_beside_run(uspi_beside *beside, int64_t turns);

/* Whether the caller is to pack: always without `held`, else the first one. Others wait for it. */
int uspi_begin_packing(uspi_held_rows *held);
void uspi_end_packing(uspi_held_rows *held);

/* The first whole cache line of a workspace. */
static inline void *line_begin(const void *memory) {
    return (void *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
}

/* Element `index` of an array of `type`. */
static inline const void *element(const void *base, int64_t index, int32_t type) {
    return (const char *)base + index * (type == USPI_INT8 ? 1 : type == USPI_BF16 ? 2 : 4);
}

#endif

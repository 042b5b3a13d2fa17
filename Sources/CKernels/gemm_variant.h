/* One instruction set's kernels: compiled by each gemm_variant_*.c with VECTOR (floats), MOST
 * (rows of a tile), MOST_BF16 (those whose sums of bf16 products stay in registers beside what
 * decodes the factors, at least half of MOST), WIDE (vectors of a tile's row) and VARIANT (the
 * table's name) set; HAS_BF16_PRODUCTS and HAS_VNNI where the set has such instructions, INT8_VNNI
 * (8-bit tiles) where processors of the set may have VNNI beside it. */
#include "vector.h"
#include "vector_math.h"

#include "gemm_finish.h"
#include "activation_arrays.h"
#include "convert_arrays.h"
#include "gemm_tile.h"
#include "int8_tile.h"
#include "double_tile.h"
#include "int8_pack.h"
#include "pack_lanes.h"
#include "strassen_tile.h"
#include "segment_tile.h"
#include "winograd_transform.h"

#include "attention_panel.h"
#include "layer_norm.h"
#include "head_rows.h"

static const tile_function tiles_int8[2 * MOST] = TILES_INT8;

const kernel_variant VARIANT = {
    .most_rows = MOST,
    .tile_f32 = tiles_f32,
    .tile_bf16 = tiles_bf16,
    .tile_int8 = tiles_int8,
#if defined(INT8_VNNI)
    .tile_int8_vnni = INT8_VNNI,
#endif
    .segment_rows = SEGMENT_ROWS,
    .segments_f32 = all_segments_f32,
    .double_columns = WIDE * VECTOR / 2,
    .double_tile = double_tile,
    .strassen_left = strassen_left,
    .strassen_tile = strassen_tile,
    .winograd_input = winograd_input,
    .winograd_output = winograd_output,
    .winograd_kernel = winograd_kernel,
    .winograd_spread = winograd_spread,
    .outer_f32 = outer_f32,
    .winograd_kernel_gradient = winograd_kernel_gradient,
    .pack = pack_lanes,
    .finish = finish,
    .softmax_columns = softmax_columns,
    .write_columns = write_columns,
    .softmax_gradient = softmax_gradient,
    .layer_norm = layer_norm,
    .head_rows_forward = head_rows_forward,
    .head_rows_backward = head_rows_backward,
    .activation_forward = activation_forward,
    .activation_backward = activation_backward,
    .activation_forward_bf16 = activation_forward_bf16,
    .gated_forward = gated_forward,
    .gated_backward = gated_backward,
    .bf16_from_f32 = bf16_from_f32,
    .f32_from_bf16 = f32_from_bf16,
};

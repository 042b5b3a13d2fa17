/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_POSITION_H
#define USP_POSITION_H

#include "base.h"

USP_BEGIN_DECLARATIONS

/* ---- position: tables of two-dimensional positions ---------------------------------------- */

/* Sines and cosines of MAE and DiT for a grid of patches.
 *   out  [height * width, D]  f32; D a multiple of 4 */
USP_API USP_CHECK usp_status usp_position_sincos(int64_t height, int64_t width, usp_tensor *out);

/* Cosines and sines of two-dimensional rotary positions (EVA-02, LightningDiT): the first half of a
 * head's width turns by the row, the second by the column, each angle for two neighbours.
 *   out_cos, out_sin  [height * width, D]  f32; D, a head's width, a multiple of 4 */
USP_API USP_CHECK usp_status usp_position_rope(
    int64_t height, int64_t width, usp_tensor *out_cos, usp_tensor *out_sin);

/* Resample a table to another grid: bicubic as torch's interpolate (align_corners false). Rows in
 * front of the grid's (class tokens) are kept.
 *   table      [leading + old_height * old_width, D]  f32
 *   antialias  0 = none, as USP and MAE; 1 = as timm
 *   out        [leading + new_height * new_width, D]  f32 */
USP_API USP_CHECK usp_status usp_position_resize(
    const usp_tensor *table, int64_t old_height, int64_t old_width, int64_t new_height,
    int64_t new_width, int32_t antialias, usp_tensor *out);

USP_END_DECLARATIONS

#endif /* USP_POSITION_H */

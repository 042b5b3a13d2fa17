/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_DIT_H
#define USP_DIT_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- dit: diffusion transformers: DiT, SiT, LightningDiT ---------------------------------- */

/* Channels of the prediction, O: C, or 2C with variances. */
USP_API int64_t usp_dit_out_channels(const usp_model *dit);

/* The prediction.
 *   x    [B, C, H, W]  f32
 *   t    [B]           f32  0 ... 999 (DiT), 0 ... 1 (SiT)
 *   y    [B]           i64  0 ... K, K being the null class; NULL = the null class for all
 *   out  [B, O, H, W]  f32 */
USP_API USP_CHECK usp_status usp_dit_forward(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    usp_tensor *out);

/* The originals' guided pass over n samples given twice, first with their labels, then with null
 * labels; both halves see the first half's latents, and both get the guided channels.
 *   x         [2n, C, H, W]  f32      t, y  [2n]      out  [2n, O, H, W]  f32
 *   scale     null + scale * (labelled - null)
 *   channels  leading channels that are guided; 0 = 3, as the originals; C or more = all
 *   begin, end  guide at times from one to the other, both included, by the first time; NAN = no
 *               bound. At other times both halves get the labelled half's channels. */
USP_API USP_CHECK usp_status usp_dit_forward_guided(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    float scale, int32_t channels, float begin, float end, usp_tensor *out);

/* Mean of the squared prediction, and its gradient for every trainable parameter in the names of
 * the file that the model came from. Inputs as usp_dit_forward. out_gradients: owned. */
USP_API USP_CHECK usp_status usp_dit_gradients(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    float *out_loss, usp_checkpoint **out_gradients);

/* Tokens after the first `depth` blocks (0 = all), averaged.
 *   out  [B, D]  f32; inputs as usp_dit_forward */
USP_API USP_CHECK usp_status usp_dit_features(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    int32_t depth, usp_tensor *out);

/* Tokens after blocks (1 is the first), or their means, from one pass: as usp_vit_layers; inputs as
 * usp_dit_forward. */
USP_API USP_CHECK usp_status usp_dit_layers(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    const int64_t *layers, size_t count, int32_t tokens, usp_tensor *outs);

/* Attention's probabilities in a block, as usp_vit_attention, registers in front. */
USP_API USP_CHECK usp_status usp_dit_attention(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    int64_t layer, usp_tensor *out);

/* What each projector (REPA's) makes of the tokens behind block encoder_depth.
 *   count  of outs: as many as usp_model_config tells projections
 *   outs   count arrays, [B, T, Z] f32 with a teacher's Z each; inputs as usp_dit_forward
 * Errors: UNSUPPORTED for a model without projectors. */
USP_API USP_CHECK usp_status usp_dit_projections(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    int32_t count, usp_tensor *outs);

USP_END_DECLARATIONS

#endif /* USP_DIT_H */

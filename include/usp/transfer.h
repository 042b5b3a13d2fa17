/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_TRANSFER_H
#define USP_TRANSFER_H

#include "checkpoint.h"

USP_BEGIN_DECLARATIONS

/* ---- transfer: one pretrained transformer as another model's start ------------------------- */

/* A plan says for every tensor of the target where it comes from and what happens on the way, and
 * for every tensor of the source where it went or why it stayed behind. It is made from names and
 * shapes; applying it twice gives the same bytes. Immutable once created: any thread. */
typedef struct usp_transfer_plan usp_transfer_plan;

/* usp_transfer_options: written by make abi */
typedef struct usp_transfer_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* The target's rows and columns of tokens; without it the preset's, or the source's. 0:
     * absent. */
    int64_t grid_height;
    int64_t grid_width;
    /* The target's classes. 1 to 1000000. Part in: ViT, Segmenter, LightningDiT, DiT, SiT, MAR.
     * -1: absent. */
    int64_t classes;
    /* The target's patch. 1 to 65536. -1: absent. */
    int64_t patch;
    /* The target's channels. 1 to 65536. -1: absent. */
    int64_t channels;
    /* Only so many blocks come from the source; without it all. 0 or more. -1: absent. */
    int64_t layers;
    /* Of everything fresh. Default: 0. */
    uint64_t seed;
    /* Norms with gamma and beta in a diffusion transformer's blocks, which take a ViT's; off is
     * the ablation. Default: yes. Part in: LightningDiT, DiT, SiT. */
    int64_t affine;
    /* The source's GELU instead of the target family's. Default: no. */
    int64_t keep_activation;
    /* Where channels differ: a fresh patch embedding, a copy of the channels that both have, or
     * the source's again and again, scaled. One of fresh, copy, repeat. Default: fresh. */
    const char *channel_rule;
    /* Where depths differ: the first blocks, evenly over the source, or its blocks again and
     * again. One of prefix, stride, repeat. Default: prefix. */
    const char *depth_rule;
    /* A classifier's pooling; without it the class token where there is one. One of token, avg.
     * Part in: ViT. NULL: absent. */
    const char *pool;
    /* How a classifier's head starts, fine-tune or, with a batch norm before it, probe; what a
     * segmentation network's is, upernet (which fine-tune is there) or linear. One of fine-tune,
     * probe, upernet, linear. Default: fine-tune. Part in: ViT, Segmenter. */
    const char *head;
    /* Where adaLN's gates start: 0 as published; 1 lets every block act from the first step.
     * Default: 0. Part in: LightningDiT, DiT, SiT. */
    double gate_bias;
    /* A diffusion source becomes a feature extractor after this block; without it after all. 1
     * or more. -1: absent. */
    int64_t block;
    /* At this time, folded into the weights. Default: 0. */
    double timestep;
    /* And this label; without it the null class. 0 or more. -1: absent. */
    int64_t label;
    /* The source's table; without it what the family's readers take. NULL: absent. */
    const char *table;
    /* The source's attention heads, where its file does not tell and its width is not a
     * published one. 1 to 65536. -1: absent. */
    int64_t heads;
    /* Those of its decoder; likewise. 1 to 65536. -1: absent. */
    int64_t decoder_heads;
    /* Arrays of the source, by their names or the start of these, with commas between, that are
     * left aside; what they would fill starts afresh. Default: none. */
    const char *ignore;
    /* Channels of UperNet's maps; without it the width. 1 to 65536. Part in: Segmenter. -1:
     * absent. */
    int64_t head_channels;
    /* A segmentation network's blocks get biases by how far tokens are apart, zero at first.
     * Default: no. Part in: Segmenter. */
    int64_t relative_positions;
    /* Rows of the class in front of the target's patches; without it the preset's. 1 to 65536.
     * Part in: MAR. -1: absent. */
    int64_t buffer;
    /* Width of the target's diffusion head; without it the preset's. 1 to 65536. Part in: MAR.
     * -1: absent. */
    int64_t head_width;
    /* Its residual blocks; without it the preset's. 1 to 4096. Part in: MAR. -1: absent. */
    int64_t head_depth;
    /* The target's decoder: the source's blocks behind those of the encoder, or a fresh one;
     * without it the source's decoder where width, depth and heads fit. One of continue, fresh.
     * Part in: MAR. NULL: absent. */
    const char *decoder_rule;
    /* RMS norms in the target; without it the preset's, LightningDiT's own, or the source's. So
     * are the next four. -1: absent. */
    int64_t rms_norm;
    /* Gated MLPs in the target. -1: absent. */
    int64_t swiglu;
    /* Rotary positions in the target, beside its table. -1: absent. */
    int64_t rope;
    /* Norms of queries and keys in the target. -1: absent. */
    int64_t qk_norm;
    /* Shifts in the modulation of the target's blocks. Part in: LightningDiT, DiT, SiT. -1:
     * absent. */
    int64_t shift;
    /* Where the source has layer norms and the target RMS norms: copy gamma, which changes the
     * function; or keep it exactly, by making what writes the tokens zero-mean and putting beta
     * into the next bias. One of copy, exact. Default: copy. Part in: LightningDiT, DiT, SiT. */
    const char *norm_rule;
    /* Where the target's norms have no gamma and beta: put the source's into the layers behind
     * them, exactly. Default: no. Part in: LightningDiT, DiT, SiT. */
    int64_t fold_norms;
    /* The target's last layer predicts a second set of channels, which REPA's has not; without
     * it as the preset's, or the source's. Part in: LightningDiT, DiT, SiT. -1: absent. */
    int64_t learn_sigma;
    /* Widths of teachers' tokens, such as 768: a projector for each (REPA), whose model's noise
     * is at time 1 unless it is a trained flow's; without it the source's. 1 to 65536. Default:
     * none. Part in: LightningDiT, DiT, SiT. */
    const char *projections;
    /* Width of a projector's hidden layers; without it 2048, or the source's. 1 to 65536. Part
     * in: LightningDiT, DiT, SiT. -1: absent. */
    int64_t projector;
    /* Projectors read the tokens behind this block, counted from 1; without it 8, or the
     * source's. REPA has 8 in its SiT-L and SiT-XL, 4 in its SiT-B. 1 to 4096. Part in:
     * LightningDiT, DiT, SiT. -1: absent. */
    int64_t encoder_depth;
} usp_transfer_options;

#define USP_TRANSFER_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_transfer_options), 0, 0, 0, -1, -1, -1, -1, 0, 1, 0, "fresh", "prefix", \
     NULL, "fine-tune", 0, -1, 0, -1, NULL, -1, -1, NULL, -1, 0, -1, -1, -1, NULL, -1, -1, -1, \
     -1, -1, "copy", 0, -1, NULL, -1, -1}
/* end of usp_transfer_options */

/* Plan a transfer from a file, or from a checkpoint.
 *   to  a published name such as "DiT-XL/2", or a family ("DiT", "SiT", "ViT", "MAE", "MAR") whose
 *       sizes are the source's
 * out: owned. Errors: FORMAT, UNSUPPORTED for a source that is no transformer; SHAPE for a target
 * that cannot hold it, naming those that can; ARGUMENT for an unknown name and for options that
 * have no part in the target or the source. */
USP_API USP_CHECK usp_status usp_transfer_plan_open(
    const char *path, const char *to, const usp_transfer_options *options, usp_transfer_plan **out);
USP_API USP_CHECK usp_status usp_transfer_plan_create(
    const usp_checkpoint *source, const char *to, const usp_transfer_options *options,
    usp_transfer_plan **out);

USP_API void usp_transfer_plan_free(usp_transfer_plan *plan);

/* Tensors of the target: name, source names (joined by " + ", "" if fresh) and what happens, views;
 * NULL past the end. */
USP_API size_t usp_transfer_plan_count(const usp_transfer_plan *plan);
USP_API const char *usp_transfer_plan_name(const usp_transfer_plan *plan, size_t index);
USP_API const char *usp_transfer_plan_source(const usp_transfer_plan *plan, size_t index);
USP_API const char *usp_transfer_plan_action(const usp_transfer_plan *plan, size_t index);

/* Shape of a tensor of the target: data is NULL. */
USP_API USP_CHECK usp_status usp_transfer_plan_shape(
    const usp_transfer_plan *plan, size_t index, usp_tensor *out);

/* Tensors of the source that stay behind: name and reason, views; NULL past the end. */
USP_API size_t usp_transfer_plan_left_count(const usp_transfer_plan *plan);
USP_API const char *usp_transfer_plan_left_name(const usp_transfer_plan *plan, size_t index);
USP_API const char *usp_transfer_plan_left_reason(const usp_transfer_plan *plan, size_t index);

/* What else there is to know, such as another GELU: views; NULL past the end. */
USP_API size_t usp_transfer_plan_note_count(const usp_transfer_plan *plan);
USP_API const char *usp_transfer_plan_note(const usp_transfer_plan *plan, size_t index);

/* Parameters of the target, and how many of them come from the source. */
USP_API int64_t usp_transfer_plan_parameters(const usp_transfer_plan *plan);
USP_API int64_t usp_transfer_plan_transferred(const usp_transfer_plan *plan);

/* The whole report as an aligned table, or as JSON; buffers as in usp_checkpoint_report. */
USP_API USP_CHECK usp_status usp_transfer_plan_report(
    const usp_transfer_plan *plan, char *buffer, size_t capacity, size_t *out_length);
USP_API USP_CHECK usp_status usp_transfer_plan_json(
    const usp_transfer_plan *plan, char *buffer, size_t capacity, size_t *out_length);

/* Carry a plan out in memory; arrays that are copied stay in the source's file. out: owned. */
USP_API USP_CHECK usp_status usp_transfer_plan_apply(
    const usp_transfer_plan *plan, usp_checkpoint **out);

/* Carry a plan out into a file, one tensor in memory at a time: safetensors, or for names that end
 * in .pt .pth .ckpt .bin PyTorch's training layout ({"model": ..., "ema": ...}). The file appears
 * complete or not at all.
 *   dtype  "f32", "f16" or "bf16"; NULL = f32 */
USP_API USP_CHECK usp_status usp_transfer_plan_write(
    const usp_transfer_plan *plan, const char *path, const char *dtype);

USP_END_DECLARATIONS

#endif /* USP_TRANSFER_H */

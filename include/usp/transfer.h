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

typedef struct usp_transfer_options {
    uint32_t struct_size;
    int32_t grid_height;      /* tokens of the target; 0 = the preset's, or the source's */
    int32_t grid_width;       /* 0 = grid_height */
    int32_t classes;          /* 0 = the preset's, or the source's */
    int32_t patch;            /* 0 = the preset's, or the source's */
    int32_t channels;         /* 0 = the preset's, or the source's */
    int32_t use_layers;       /* non-zero: only the first `layers` blocks come from the source */
    int32_t layers;
    uint64_t seed;            /* of everything that starts afresh */
    int32_t plain_norms;      /* non-zero: a diffusion target without beta and gamma */
    int32_t keep_activation;  /* non-zero: the source's GELU instead of the target family's */
    const char *channel_rule; /* "fresh", "copy" or "repeat"; NULL = fresh */
    const char *depth_rule;   /* "prefix", "stride" or "repeat"; NULL = prefix */
    const char *pool;         /* classifiers: "token" or "average"; NULL = token if there is one */
    const char *head;         /* classifiers: "fine-tune" or "probe"; NULL = fine-tune */
    float gate_bias;          /* start of adaLN's gates; 0 = as published */
    float timestep;           /* diffusion sources as features: at this time */
    int32_t block;            /* ... after this block; 0 = all */
    int32_t use_label;        /* ... non-zero: with this label instead of the null class */
    int32_t label;
    int32_t heads;            /* of the source; 0 = by its width */
    const char *table;        /* of the source's file, such as "ema"; NULL = the family's usual */
} usp_transfer_options;

#define USP_TRANSFER_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_transfer_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, \
     0, 0, 0, 0, 0, 0, NULL}

/* Plan a transfer from a file, or from a checkpoint.
 *   to  a published name such as "DiT-XL/2", or a family ("DiT", "SiT", "ViT", "MAE") whose sizes
 *       are the source's
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

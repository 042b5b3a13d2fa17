/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_MODEL_H
#define USP_MODEL_H

#include "checkpoint.h"

USP_BEGIN_DECLARATIONS

/* ---- model: an autoencoder, masked autoencoder, classifier or diffusion transformer ------- */

/* One handle type for all families; a function of one family refuses the others by name.
 * Immutable once created: any number of threads may run one at the same time. */
typedef struct usp_model usp_model;

typedef struct usp_model_options {
    uint32_t struct_size;
    int32_t heads;          /* 0 = as the file says, else the published number for the width */
    int32_t decoder_heads;  /* the same for a masked autoencoder's decoder */
    float scale;            /* autoencoder: latents are (z - shift) * scale; 0 = the layout's own */
    float shift;
    int32_t grid_height;    /* rows and columns of patches, where the file does not tell: positions
                               that are no square, or none; 0 = a square, or the published ones. 16
                               of a ViT are read as 4x4 and none for the class token, even if they
                               are 5x3 and one; files that this library wrote tell */
    int32_t grid_width;     /* 0 = grid_height */
    int32_t exact;          /* 1 = plain sums everywhere. By default large f32 products and 3x3
                               convolutions take fewer multiplications (Strassen, Winograd): results
                               within 1e-5 of the largest value of exact arithmetic */
    const char *family;     /* "VAE", "MAE", "ViT", "DiT", "SiT" or "Inception"; NULL = by names
                               and shapes (files of DiT and SiT do not differ: DiT) */
    const char *table;      /* nested table of the file; NULL = what the family's readers take */
    const char *compute;    /* "f32" (NULL), or "bf16": products in bf16, sums and norms in f32 */
    const char *pool;       /* classifier: "token" or "avg"; NULL = by the file */
} usp_model_options;

#define USP_MODEL_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_model_options), 0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL}

/* Load a model; sizes are inferred from names and shapes, in any published dialect.
 * out: owned. Errors: IO, FORMAT; MISSING_WEIGHT or SHAPE, one message naming everything that does
 * not fit; ARGUMENT for what a file does not tell (heads of an unpublished width) and for options
 * that have no part in the family. */
USP_API USP_CHECK usp_status usp_model_open(
    const char *path, const usp_model_options *options, usp_model **out);
USP_API USP_CHECK usp_status usp_model_load(
    const usp_checkpoint *checkpoint, const usp_model_options *options, usp_model **out);
USP_API void usp_model_free(usp_model *model);

/* "VAE", "MAE", "ViT", "DiT", "SiT" or "Inception": static. */
USP_API const char *usp_model_family(const usp_model *model);

/* Number of values of all parameters. */
USP_API int64_t usp_model_size(const usp_model *model);

/* Parameters by position, and each as a view of the model's memory (read-only). */
USP_API size_t usp_model_parameter_count(const usp_model *model);
USP_API const char *usp_model_parameter_name(const usp_model *model, size_t index);
USP_API USP_CHECK usp_status usp_model_parameter(
    const usp_model *model, const char *name, usp_tensor *out);

/* The shape that the model takes for this batch: rank 4, data NULL; extents that are free are 0.
 * [B, C, H, W] f32, but for an Inception [B, H, W, 3] u8. */
USP_API USP_CHECK usp_status usp_model_input(
    const usp_model *model, int64_t batch, usp_tensor *out);

/* What was loaded, renamed, ignored and why: lines for people, and JSON. Buffers as
 * usp_checkpoint_report. */
USP_API USP_CHECK usp_status usp_model_report(
    const usp_model *model, char *buffer, size_t capacity, size_t *out_length);
USP_API USP_CHECK usp_status usp_model_report_json(
    const usp_model *model, char *buffer, size_t capacity, size_t *out_length);

/* The parameters as a checkpoint over the same memory. out: owned. */
USP_API USP_CHECK usp_status usp_model_checkpoint(const usp_model *model, usp_checkpoint **out);

/* Write the parameters to a file that loads as the same model. */
USP_API USP_CHECK usp_status usp_model_save(
    const usp_model *model, const char *path, const usp_save_options *options);

USP_END_DECLARATIONS

#endif /* USP_MODEL_H */

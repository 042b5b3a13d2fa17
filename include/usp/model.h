/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_MODEL_H
#define USP_MODEL_H

#include "checkpoint.h"

USP_BEGIN_DECLARATIONS

/* ---- model: an autoencoder, masked autoencoder, classifier or diffusion transformer ------- */

/* One handle type for all families; a function of one family refuses the others by name.
 * Immutable once created: any number of threads may run one at the same time. */
typedef struct usp_model usp_model;

/* usp_model_options: written by make abi */
typedef struct usp_model_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Attention heads; without it as the file says, else the published number of the width. 1 to
     * 65536. Part in: MAE, ViT, Segmenter, LightningDiT, DiT, SiT, MAR. -1: absent. */
    int64_t heads;
    /* Those of a masked autoencoder's decoder; likewise. 1 to 65536. Part in: MAE, MAR. -1:
     * absent. */
    int64_t decoder_heads;
    /* Latents are (z - shift) * scale; without it as the file or its layout says. Part in: VAE.
     * USP_ABSENT: absent. */
    double scale;
    /* See scale. Part in: VAE. USP_ABSENT: absent. */
    double shift;
    /* Rows and columns of patches, where the file does not tell: positions that are no square,
     * or none. Part in: MAE, ViT, Segmenter, LightningDiT, DiT, SiT, MAR. 0: absent. */
    int64_t grid_height;
    int64_t grid_width;
    /* Plain sums everywhere. By default large f32 products and 3x3 convolutions take fewer
     * multiplications (Strassen, Winograd): results within 1e-5 of the largest value of exact
     * arithmetic. Default: no. */
    int64_t exact;
    /* The family; without it by the file, its names and shapes (files of DiT and SiT do not
     * differ: DiT). One of VAE, MAE, ViT, Segmenter, LightningDiT, DiT, SiT, MAR, Inception.
     * NULL: absent. */
    const char *family;
    /* Nested table of the file; without it what the family's readers take. NULL: absent. */
    const char *table;
    /* Type of the products' inputs; sums and norms are f32. In int8 the linear layers of
     * transformer blocks multiply integers of 8 bits, a scale for each output and each token;
     * all else is f32, or bf16 in attention where the processor has it. For inference alone. One
     * of f32, bf16, i8. Default: f32. */
    const char *compute;
    /* Pooling of a classifier; without it by the file. One of token, avg. Part in: ViT. NULL:
     * absent. */
    const char *pool;
    /* Groups of an autoencoder's norms; without it by the file, else 32. 1 to 65536. Part in:
     * VAE. -1: absent. */
    int64_t groups;
    /* What a transformer's norms add to a variance; without it by the file, else what the
     * layout's code uses. More than 0. Part in: MAE, ViT, Segmenter, LightningDiT, DiT, SiT,
     * MAR. USP_ABSENT: absent. */
    double epsilon;
    /* The label table's last row is the null class, and guidance may use it though the file says
     * that it was never trained; without it by the file, else by the number of rows. Part in:
     * LightningDiT, DiT, SiT. -1: absent. */
    int64_t null_class;
    /* Arrays of the file and parameters of the model, by their names or the start of these, with
     * commas between, that need not fit: the former are left aside, the latter start by their
     * rule. Default: none. */
    const char *ignore;
    /* Anything else that does not fit is an error; off, it is told in the report, and missing
     * parameters start by their rule. Default: yes. */
    int64_t strict;
    /* The blocks (from 0) that a segmentation network's head reads; without it by the file, else
     * as published for the depth. 0 to 4096. Part in: Segmenter. NULL: absent. */
    const char *out_indices;
    /* Arrays mean and std of an autoencoder's latent channels (latents_stats.pt), in place of
     * scale and shift: latents are (z - mean) / std * multiplier. Part in: VAE. NULL: absent. */
    const usp_checkpoint *statistics;
    /* See statistics. More than 0. Default: 1. Part in: VAE. */
    double multiplier;
    /* How positions are resampled for images of another size; without it by the file, else as
     * its layout's code does. One of bicubic, offset, antialias. Part in: ViT. NULL: absent. */
    const char *positions;
    /* Projectors (REPA) read the tokens behind this block, counted from 1; without it by the
     * file's names or arguments of training, else 8. 1 to 4096. Part in: LightningDiT, DiT, SiT.
     * -1: absent. */
    int64_t encoder_depth;
    /* Activation of a vision transformer's MLPs; without it by the file, else gelu_quick for
     * CLIP's names and gelu_erf for others. One of none, gelu_erf, gelu_tanh, gelu_quick, silu,
     * relu. Part in: ViT. NULL: absent. */
    const char *activation;
} usp_model_options;

#define USP_MODEL_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_model_options), 0, -1, -1, USP_ABSENT, USP_ABSENT, 0, 0, 0, NULL, NULL, \
     "f32", NULL, -1, USP_ABSENT, -1, NULL, 1, NULL, NULL, 1, NULL, -1, NULL}
/* end of usp_model_options */

/* Make a model with parameters drawn from seed.
 *   name    a published name (usp_preset_name), such as "SiT-B/2" or "kl-f8", or a family's, whose
 *           defaults it then has
 *   config  what differs, as text: "classes=10 grid=16x16 affine=yes"; NULL = nothing. Names and
 *           values are those of usp_model_config
 * out: owned. Errors: ARGUMENT for unknown names, with the nearest known one, and for sizes that no
 * model has; MEMORY. */
USP_API USP_CHECK usp_status usp_model_create(
    const char *name, const char *config, uint64_t seed, usp_model **out);

/* Published names that usp_model_create takes, in order of family and size: static; NULL past the
 * end. */
USP_API size_t usp_preset_count(void);
USP_API const char *usp_preset_name(size_t index);

/* Load a model; sizes are as the file says (this library's do), or inferred from names and shapes,
 * in any published dialect.
 * out: owned. Errors: IO, FORMAT; MISSING_WEIGHT or SHAPE, one message naming everything that does
 * not fit; FORMAT for a file whose usp.config says something else than its tensors; ARGUMENT
 * for what a file does not tell (heads of an unpublished width) and for options
 * that have no part in the family. */
USP_API USP_CHECK usp_status usp_model_open(
    const char *path, const usp_model_options *options, usp_model **out);
USP_API USP_CHECK usp_status usp_model_load(
    const usp_checkpoint *checkpoint, const usp_model_options *options, usp_model **out);
USP_API void usp_model_free(usp_model *model);

/* "VAE", "MAE", "ViT", "LightningDiT", "DiT", "SiT", "MAR" or "Inception": static. */
USP_API const char *usp_model_family(const usp_model *model);

/* All fields of the configuration, which files keep in their text usp.config: "grid=16x16
 * channels=4 patch=2 ..." (name=value, separated by blanks). usp_model_create of the same family
 * makes a model of the same sizes of it. Buffers as usp_checkpoint_report. */
USP_API USP_CHECK usp_status usp_model_config(
    const usp_model *model, char *buffer, size_t capacity, size_t *out_length);

/* Names of the classes that it was trained on, in the order of their labels; valid until the model
 * is freed; NULL past the end. */
USP_API size_t usp_model_class_count(const usp_model *model);
USP_API const char *usp_model_class_name(const usp_model *model, size_t index);

/* What two models of the same names and values have in common, eight hexadecimal digits; and that
 * of the autoencoder whose latents the model was trained on, "" where it is not known. Valid until
 * the model is freed. */
USP_API const char *usp_model_fingerprint(const usp_model *model);
USP_API const char *usp_model_autoencoder(const usp_model *model);

/* What there is to say where the latents of an autoencoder are not those that the model was trained
 * on, or are scaled in another way; "" where they are, or where too little is known (files of older
 * versions tell no scale, others not even the autoencoder). Buffers as usp_checkpoint_report. */
USP_API USP_CHECK usp_status usp_model_autoencoder_note(
    const usp_model *model, const usp_model *vae, char *buffer, size_t capacity,
    size_t *out_length);

/* Number of values of all parameters. */
USP_API int64_t usp_model_size(const usp_model *model);

/* Parameters by position, and each as a view of the model's memory (read-only). */
USP_API size_t usp_model_parameter_count(const usp_model *model);
USP_API const char *usp_model_parameter_name(const usp_model *model, size_t index);
USP_API USP_CHECK usp_status usp_model_parameter(
    const usp_model *model, const char *name, usp_tensor *out);

/* What the model takes for this batch: rank 4, data NULL; extents that are free are 0.
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

/* The same model with other values: every parameter by its name. out: owned. Errors:
 * MISSING_WEIGHT, SHAPE naming what does not fit. */
USP_API USP_CHECK usp_status usp_model_replace(
    const usp_model *model, const usp_checkpoint *values, usp_model **out);

/* One pass back, for other frameworks' automatic differentiation: gradients of the sum of output
 * times `gradient`. The output is a diffusion transformer's prediction (usp_dit_forward), a
 * classifier's logits, an autoencoder's reconstruction by its posterior's mean.
 *   x         [B, C, H, W] f32
 *   t, y      [B] f32, [B] i64; of diffusion transformers, y NULL is the null class
 *   gradient  f32 of the output's shape
 *   out_x     of x's shape; may be NULL
 * out_gradients: of every trainable parameter by its name; owned. Errors: UNSUPPORTED for other
 * families. */
USP_API USP_CHECK usp_status usp_model_backward(
    const usp_model *model, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    const usp_tensor *gradient, usp_tensor *out_x, usp_checkpoint **out_gradients);

/* That output. out: f32 of its shape. */
USP_API USP_CHECK usp_status usp_model_output(
    const usp_model *model, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    usp_tensor *out);

/* The parameters under the names and shapes of another library: "official" (CompVis', MAE's, DiT's,
 * timm's) or "diffusers". out: owned. Errors: UNSUPPORTED for what the layout cannot say. */
USP_API USP_CHECK usp_status usp_model_written(
    const usp_model *model, const char *layout, usp_checkpoint **out);

/* Write the parameters to a file that loads as the same model. Errors: UNSUPPORTED for .npz and
 * .npy where shapes do not tell the configuration, naming the fields; ARGUMENT for an ending that
 * is none of a format. */
USP_API USP_CHECK usp_status usp_model_save(
    const usp_model *model, const char *path, const usp_save_options *options);

USP_END_DECLARATIONS

#endif /* USP_MODEL_H */

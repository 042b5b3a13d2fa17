/* usp.h: the C interface of libusp, and its manual.
 *
 * usp pretrains vision transformers by masked latent modelling, moves their weights into diffusion
 * transformers and classifiers, trains those, samples from them and measures the result; all on a
 * CPU, in one shared library that needs neither Swift nor Python at run time.
 *
 * EXAMPLE  Draw four images' latents from a checkpoint (errors shortened to one macro):
 *
 *     #include "usp.h"
 *     #define TRY(call) if ((call) != USP_OK) { puts(usp_last_error()); return 1; }
 *
 *     int main(void) {
 *         usp_model *model = NULL;
 *         TRY(usp_model_open("SiT-XL-2-256x256.pt", NULL, &model));
 *         int64_t classes[4] = {207, 360, 387, 974};
 *         static float noise[4 * 4 * 32 * 32], latents[4 * 4 * 32 * 32];
 *         usp_tensor y = {classes, {4}, {0}, 1, USP_I64};
 *         usp_tensor z = {noise, {4, 4, 32, 32}, {0}, 4, USP_F32};
 *         usp_tensor x = {latents, {4, 4, 32, 32}, {0}, 4, USP_F32};
 *         TRY(usp_random_normal(7, &z));
 *         usp_transport *transport = NULL;
 *         TRY(usp_transport_create(NULL, &transport));
 *         usp_denoiser denoiser = USP_DENOISER_INIT;
 *         denoiser.model = model;
 *         TRY(usp_transport_sample_ode(transport, &denoiser, &z, &y, NULL, &x));
 *         usp_transport_free(transport);
 *         usp_model_free(model);
 *         return 0;
 *     }
 *
 * THREE CONTRACTS hold everywhere; a function's comment states only what deviates.
 *
 * 1. Errors. A function that can fail returns usp_status. Anything but USP_OK leaves a sentence in
 *    usp_last_error() on the same thread, and leaves outputs unspecified and handles usable. NULL
 *    for a required pointer, a handle that was freed or is of another kind, a wrong shape or
 *    dtype: all of these are errors, never crashes. No function writes to a terminal or ends the
 *    process. A function that returns void cannot fail; one that returns a value directly is a
 *    getter, which for a bad handle gives 0 or NULL (and sets usp_last_error()).
 *
 * 2. Ownership. Three words say who frees what:
 *      borrowed  the library uses the memory during the call only (every input, unless stated);
 *      owned     the caller frees it with the matching _free function (every `**out`);
 *      view      it belongs to its parent and is valid until the parent is freed.
 *    Output arrays are allocated by the caller. _free functions accept NULL. A child keeps its
 *    parents alive, so handles may be freed in any order.
 *
 * 3. Threads. usp_checkpoint, usp_model, usp_diffusion, usp_transport and usp_transfer_plan do not
 *    change once created: any number of threads may use one at the same time. A usp_trainer takes
 *    one thread at a time, except where a function says otherwise. All calls share one pool of
 *    threads (usp_set_threads). The same inputs, seed and CPU give the same bits, whatever the
 *    number of threads. Callbacks run on the calling thread, between steps, without locks: they
 *    may call anything, but must not free or re-enter the running object, and must not longjmp or
 *    throw through the library. A child of fork may go on, on threads of its own, whatever others
 *    were computing; a trainer that was in a step on another thread stays busy there.
 *
 * Letters in shapes: B batch (1 or more), C channels, H height, W width, T tokens, D width of a
 * token, E values of a patch, N heads, K classes, L layers. */
#ifndef USP_H
#define USP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define USP_API __attribute__((visibility("default")))
#define USP_CHECK __attribute__((warn_unused_result))
#else
#define USP_API
#define USP_CHECK
#endif

/* ---- version: what was compiled against, and what was loaded ------------------------------ */

#define USP_VERSION_MAJOR 0
#define USP_VERSION_MINOR 1
#define USP_VERSION_PATCH 0

/* Grows with every removal and every change of a signature or a layout. A program is compatible
 * with a library of the same number. */
#define USP_ABI_VERSION 1

/* "0.1.0": the library's version, static. */
USP_API const char *usp_version(void);

/* USP_ABI_VERSION of the library that was loaded. */
USP_API uint32_t usp_abi_version(void);

/* What the library was built for and what it uses here, such as "usp 0.1.0 x86_64 avx512-bf16",
 * static. For logs, not for parsing. */
USP_API const char *usp_build_info(void);

/* ---- status: what went wrong, for a program and for a person ------------------------------ */

/* Values are pinned; new ones are appended, so treat unknown negative values as failures. */
typedef enum usp_status {
    USP_OK = 0,
    USP_ERROR_ARGUMENT = -1,        /* NULL, freed handle, value out of range, unknown name   */
    USP_ERROR_SHAPE = -2,           /* an array, or two together, of the wrong extents        */
    USP_ERROR_DTYPE = -3,           /* an array of the wrong element type                     */
    USP_ERROR_IO = -4,              /* the system could not open, read or write a file        */
    USP_ERROR_FORMAT = -5,          /* a file that is damaged, hostile or of no known format  */
    USP_ERROR_MISSING_WEIGHT = -6,  /* a checkpoint that does not hold what the model needs   */
    USP_ERROR_UNSUPPORTED = -7,     /* understood, but not possible                           */
    USP_ERROR_MEMORY = -8,          /* the system has not that much memory                    */
    USP_ERROR_CANCELLED = -9,       /* a progress callback or a cancel function stopped it    */
    USP_ERROR_CALLBACK = -10,       /* a callback of the host reported a failure              */
    USP_ERROR_INTERNAL = -11,       /* a defect of the library: please report it              */
    USP_ERROR_NOT_FINITE = -12      /* a loss, gradient or prediction is infinite or no number */
} usp_status;

/* The sentence of the last failure on this thread: where, what, expected and got, such as
 *     usp_vae_decode: latents: shape [1, 4, 30, 32], expected [B, 4, H, W] with ...
 * Never NULL. Meaningful right after a failure; valid until the next failure on this thread. */
USP_API const char *usp_last_error(void);

/* "USP_ERROR_SHAPE" and so on, static; "USP_ERROR_UNKNOWN" for other values. */
USP_API const char *usp_status_name(usp_status status);

/* ---- tensor: the description of an array, wherever it lives ------------------------------- */

/* Element types. Models compute in f32 or bf16; files hold any of these. */
typedef enum usp_dtype {
    USP_F32 = 0,
    USP_BF16 = 1,
    USP_F16 = 2,
    USP_F64 = 3,
    USP_I64 = 4,
    USP_I32 = 5,
    USP_I16 = 6,
    USP_I8 = 7,
    USP_U8 = 8,
    USP_BOOL = 9
} usp_dtype;

#define USP_MAX_RANK 8

/* An array: a pointer and its geometry, by value, with no lifetime of its own. Frozen for ever.
 *
 *   data     aligned to the element's size; may be NULL if the tensor has no elements
 *   shape    extents, outermost first; rank of them count
 *   strides  in elements (as in DLPack), not negative; all zero means contiguous, row-major
 *
 * Inputs may have any strides; those that are not contiguous are gathered first. Outputs may too,
 * as long as no two elements share an address. An output may not overlap an input. */
typedef struct usp_tensor {
    void *data;
    int64_t shape[USP_MAX_RANK];
    int64_t strides[USP_MAX_RANK];
    int32_t rank;
    usp_dtype dtype;
} usp_tensor;

/* Bytes per element; 0 for an unknown dtype. */
USP_API size_t usp_dtype_size(usp_dtype dtype);

/* "f32", "bf16", "i64", ..., static; NULL for an unknown dtype. */
USP_API const char *usp_dtype_name(usp_dtype dtype);

/* Copy between arrays of one shape, whatever their strides, converting the element type: to nearest
 * even between floating types, towards zero and saturating from floating to integer types.
 *   source  [..]  any dtype
 *   out     same shape, any dtype */
USP_API USP_CHECK usp_status usp_tensor_copy(const usp_tensor *source, usp_tensor *out);

/* Fill with standard normal noise. The first axis counts samples: each has a random stream of its
 * own, so the first rows of a larger batch are those of a smaller one.
 *   out  [B, ..]  f32 */
USP_API USP_CHECK usp_status usp_random_normal(uint64_t seed, usp_tensor *out);

/* Fill with the numbers that torch.randn(shape) gives after torch.manual_seed(seed).
 *   device  "cpu" (NULL) or "cuda"
 *   out     [..]  f32 */
USP_API USP_CHECK usp_status usp_random_torch(
    const char *device, uint64_t seed, usp_tensor *out);

/* ---- threads: one pool for the process ---------------------------------------------------- */

/* Use `count` threads from now on, the caller's included; 0 means one per processor (the start).
 * Never changes results. Call it before heavy work, not during it. Errors: ARGUMENT if negative. */
USP_API USP_CHECK usp_status usp_set_threads(int32_t count);

/* The number of threads that a computation may use. */
USP_API int32_t usp_threads(void);

/* ---- progress: what long calls tell, and how they are stopped ----------------------------- */

typedef struct usp_progress {
    const char *stage;  /* what is being done, such as "sample"; valid during the call           */
    int64_t step;       /* steps done                                                            */
    int64_t steps;      /* steps in all; 0 if not known (adaptive solvers)                       */
    double seconds;     /* since the call began                                                  */
    const usp_tensor *latents; /* [B, C, H, W] f32, in previews only: predicted clean latents */
} usp_progress;

/* Return 0 to go on; anything else stops the call, which then returns USP_ERROR_CANCELLED. */
typedef int32_t (*usp_progress_fn)(const usp_progress *progress, void *user);

/* ---- options structs ---------------------------------------------------------------------- */

/* Every options struct begins with its own size, which its INIT macro writes: a program compiled
 * against an older header keeps working, and a newer one is told USP_ERROR_UNSUPPORTED if it sets
 * a field that the loaded library does not know. Zero always means the default, which the field's
 * comment names. NULL instead of options means all defaults. */

#define USP_OPTIONS_SIZE(type) ((uint32_t)sizeof(type))

/* A yes-or-no field whose default depends on something else. */
typedef enum usp_choice {
    USP_DEFAULT = 0,
    USP_YES = 1,
    USP_NO = 2
} usp_choice;

/* ---- checkpoint: named arrays, from any file or from memory ------------------------------- */

/* The content decides what a file is: safetensors (one file, or sharded with an index), PyTorch zip
 * archives and the older stream format, npy, npz, idx. Nothing in a file is executed. Files are
 * mapped: an array is read when it is asked for. Immutable once created: any thread. */
typedef struct usp_checkpoint usp_checkpoint;

typedef struct usp_checkpoint_options {
    uint32_t struct_size;
    uint32_t reserved;
    const char *table;  /* nested table or prefix, such as "ema" or "first_stage_model"; NULL = the
                           averaged weights where a training file has some, else the model's, else
                           the file's top level; "*" = everything under its full name */
} usp_checkpoint_options;

#define USP_CHECKPOINT_OPTIONS_INIT {USP_OPTIONS_SIZE(usp_checkpoint_options), 0, NULL}

typedef struct usp_save_options {
    uint32_t struct_size;
    uint32_t reserved;
    const char *format;  /* "safetensors", or "torch" (opens with torch.load(weights_only=True));
                            NULL = torch for names that end in .pt .pth .ckpt .bin */
    const char *dtype;   /* "f32", "bf16" or "f16" for floating arrays; NULL = as they are */
    const char *tables;  /* torch: nest under these keys, such as "model,ema"; NULL = at the top */
} usp_save_options;

#define USP_SAVE_OPTIONS_INIT {USP_OPTIONS_SIZE(usp_save_options), 0, NULL, NULL, NULL}

/* Open a file, or a folder that holds one under a usual name. Reads headers only.
 * out: owned. Errors: IO; FORMAT saying what was found instead and where; MISSING_WEIGHT naming the
 * tables there are. */
USP_API USP_CHECK usp_status usp_checkpoint_open(
    const char *path, const usp_checkpoint_options *options, usp_checkpoint **out);

/* Make one from arrays in memory, which are copied.
 *   names, tensors  `count` of each; names differ; any dtypes and strides
 * out: owned. */
USP_API USP_CHECK usp_status usp_checkpoint_create(
    const char *const *names, const usp_tensor *tensors, size_t count, usp_checkpoint **out);

USP_API void usp_checkpoint_free(usp_checkpoint *checkpoint);

/* Number of arrays, and the name of each in the file's order: a view, NULL past the end. */
USP_API size_t usp_checkpoint_count(const usp_checkpoint *checkpoint);
USP_API const char *usp_checkpoint_name(const usp_checkpoint *checkpoint, size_t index);

/* Describe the array of this name: a view of its bytes, contiguous, in the file's own dtype; the
 * memory is read-only. Compressed and strided arrays are unpacked once and kept with it.
 * Errors: MISSING_WEIGHT for a name that is not there, FORMAT for damaged compression. */
USP_API USP_CHECK usp_status usp_checkpoint_tensor(
    const usp_checkpoint *checkpoint, const char *name, usp_tensor *out);

/* Describe the array of this name without reading it: data is NULL. */
USP_API USP_CHECK usp_status usp_checkpoint_shape(
    const usp_checkpoint *checkpoint, const char *name, usp_tensor *out);

/* Texts and numbers that the file has beside its arrays, as text: key and value of each, views. */
USP_API size_t usp_checkpoint_metadata_count(const usp_checkpoint *checkpoint);
USP_API const char *usp_checkpoint_metadata_key(const usp_checkpoint *checkpoint, size_t index);
USP_API const char *usp_checkpoint_metadata_value(const usp_checkpoint *checkpoint, size_t index);

/* Tables of the file, by name; "" is its top level: views. */
USP_API size_t usp_checkpoint_table_count(const usp_checkpoint *checkpoint);
USP_API const char *usp_checkpoint_table_name(const usp_checkpoint *checkpoint, size_t index);

/* What the file is and holds, for people: format, tables, arrays with dtype and shape, what was
 * skipped and why. Writes at most `capacity` bytes, NUL included, and the whole length (without
 * NUL) to out_length, which may be NULL; buffer may be NULL if capacity is 0. */
USP_API USP_CHECK usp_status usp_checkpoint_report(
    const usp_checkpoint *checkpoint, char *buffer, size_t capacity, size_t *out_length);

/* Write the arrays to a file, which appears complete or not at all. */
USP_API USP_CHECK usp_status usp_checkpoint_save(
    const usp_checkpoint *checkpoint, const char *path, const usp_save_options *options);

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

/* ---- vae: images to latents and back ------------------------------------------------------ */

typedef struct usp_vae_config {
    uint32_t struct_size;
    int32_t image_channels;    /* 0 = 3 */
    int32_t base_width;        /* channels at full resolution; 0 = 128 */
    int32_t levels;            /* used entries of multipliers; 0 = 4 of 1, 2, 4, 4 */
    int32_t multipliers[8];    /* channels of each level over base_width; each level but the first
                                  halves the resolution */
    int32_t blocks_per_level;  /* 0 = 2 */
    int32_t latent_channels;   /* 0 = 4 */
    int32_t groups;            /* of every group norm; 0 = 32 */
    uint32_t encoder_attention; /* bit l: attention at level l */
    uint32_t decoder_attention;
    float scale;               /* latents are (z - shift) * scale; 0 = 1 */
    float shift;
    uint32_t reserved;
} usp_vae_config;

#define USP_VAE_CONFIG_INIT \
    {USP_OPTIONS_SIZE(usp_vae_config), 0, 0, 0, {0, 0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0}

typedef struct usp_vae_options {
    uint32_t struct_size;
    int32_t raw;      /* 1 = latents are z itself, not (z - shift) * scale */
    int32_t tile;     /* side of a tile in latent pixels; 0 = the whole image at once */
    int32_t overlap;  /* latent pixels that neighbouring tiles share; 0 = 16 */
    int32_t exact;    /* 1 = plain sums in 3x3 convolutions: twice the time. The default, Winograd's
                         method, is within 1e-5 of the largest value of exact arithmetic */
} usp_vae_options;

#define USP_VAE_OPTIONS_INIT {USP_OPTIONS_SIZE(usp_vae_options), 0, 0, 0, 0}

/* A new model with parameters drawn from seed. out: owned. */
USP_API USP_CHECK usp_status usp_vae_create(
    const usp_vae_config *config, uint64_t seed, usp_model **out);
/* The sizes of a model; set out->struct_size first (the INIT macro does). */
USP_API USP_CHECK usp_status usp_vae_describe(const usp_model *vae, usp_vae_config *out);

/* Scale and shift of each latent channel: latents are (z - shift) * scale.
 *   out_scale, out_shift  [z]  f32; either may be NULL */
USP_API USP_CHECK usp_status usp_vae_normalization(
    const usp_model *vae, usp_tensor *out_scale, usp_tensor *out_shift);

/* Images to the posterior of their latents.
 *   images      [B, C, H, W]      f32  -1 ... 1; H and W multiples of f
 *   out_mean    [B, z, H/f, W/f]  f32  (mean - shift) * scale, unless options.raw
 *   out_logvar  [B, z, H/f, W/f]  f32  log variance of z itself, -30 ... 20; or NULL */
USP_API USP_CHECK usp_status usp_vae_encode(
    const usp_model *vae, const usp_tensor *images, const usp_vae_options *options,
    usp_tensor *out_mean, usp_tensor *out_logvar);

/* A sample of a posterior that usp_vae_encode gave with the same options.
 *   mean, logvar, noise  [B, z, h, w]  f32      out  the same */
USP_API USP_CHECK usp_status usp_vae_sample(
    const usp_model *vae, const usp_tensor *mean, const usp_tensor *logvar, const usp_tensor *noise,
    const usp_vae_options *options, usp_tensor *out);

/* Latents to images.
 *   latents     [B, z, h, w]      f32  (z - shift) * scale, unless options.raw
 *   out_images  [B, C, f*h, f*w]  f32  about -1 ... 1 */
USP_API USP_CHECK usp_status usp_vae_decode(
    const usp_model *vae, const usp_tensor *latents, const usp_vae_options *options,
    usp_tensor *out_images);

/* ---- mae: masked modelling of latents or pixels ------------------------------------------- */

typedef struct usp_mae_config {
    uint32_t struct_size;
    int32_t grid_height;     /* rows of patches; 0 = 14 */
    int32_t grid_width;      /* 0 = 14 */
    int32_t channels;        /* 0 = 4 */
    int32_t patch;           /* side; 0 = 2 */
    int32_t width;           /* D; 0 = 384 */
    int32_t depth;           /* 0 = 12 */
    int32_t heads;           /* 0 = 6 */
    int32_t decoder_width;   /* 0 = 512 */
    int32_t decoder_depth;   /* 0 = 8 */
    int32_t decoder_heads;   /* 0 = 16 */
    int32_t without_decoder; /* 1 = features only */
} usp_mae_config;

#define USP_MAE_CONFIG_INIT {USP_OPTIONS_SIZE(usp_mae_config), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

typedef struct usp_mae_options {
    uint32_t struct_size;
    float mask_ratio;         /* share of tokens that are masked, to below 1; 0 = 0.75 */
    const usp_tensor *noise;  /* [B, T] f32: the tokens of least noise are kept; NULL = from seed */
    const usp_tensor *target; /* [B, C, H, W] f32 to compare with; NULL = the input */
    uint64_t seed;
    int32_t norm_pix_loss;    /* 1 = normalise each patch of the target */
    int32_t norm_image;       /* 1 = normalise each target over all its patches */
    int32_t keep_all;         /* 1 = mask nothing (mask_ratio 0): there is no loss then */
    int32_t add_noise;        /* 1 = the input becomes sqrt(t) x + sqrt(1 - t) e, t in 0.5 ... 1 and
                                 normal e from seed; the target stays clean */
} usp_mae_options;

#define USP_MAE_OPTIONS_INIT {USP_OPTIONS_SIZE(usp_mae_options), 0, NULL, NULL, 0, 0, 0, 0, 0}

/* A new model with parameters drawn from seed. out: owned. Errors: ARGUMENT for sizes that do not
 * go together, MEMORY. */
USP_API USP_CHECK usp_status usp_mae_create(
    const usp_mae_config *config, uint64_t seed, usp_model **out);
/* The sizes of a model; set out->struct_size first (the INIT macro does), as in all _describe. */
USP_API USP_CHECK usp_status usp_mae_describe(const usp_model *mae, usp_mae_config *out);

/* Mask, encode, decode, compare.
 *   images    [B, C, H, W]  f32
 *   out_loss                mean over the masked patches; NULL = only predict
 *   out_pred  [B, T, E]     f32  E = P*P*C, channel fastest; may be NULL
 *   out_mask  [B, T]        f32  1 for masked tokens; may be NULL
 * Errors: UNSUPPORTED for a model without a decoder; ARGUMENT for a loss where nothing is masked
 * (keep_all). */
USP_API USP_CHECK usp_status usp_mae_forward(
    const usp_model *mae, const usp_tensor *images, const usp_mae_options *options, float *out_loss,
    usp_tensor *out_pred, usp_tensor *out_mask);

/* The same loss and its gradient for every trainable parameter, in the names of the file that the
 * model came from. out_gradients: owned. Errors: NOT_FINITE naming what is, as all _gradients. */
USP_API USP_CHECK usp_status usp_mae_gradients(
    const usp_model *mae, const usp_tensor *images, const usp_mae_options *options, float *out_loss,
    usp_checkpoint **out_gradients);

/* Features of all tokens after the encoder's norm.
 *   images  [B, C, H, W]  f32      out  [B, 1 + T, D]  f32, class token first */
USP_API USP_CHECK usp_status usp_mae_features(
    const usp_model *mae, const usp_tensor *images, usp_tensor *out);

/* Predicted patches as images.
 *   pred  [B, T, E]  f32      out  [B, C, H, W]  f32 */
USP_API USP_CHECK usp_status usp_mae_image(
    const usp_model *mae, const usp_tensor *pred, usp_tensor *out);

/* ---- vit: classifier and feature extractor ------------------------------------------------ */

typedef struct usp_vit_config {
    uint32_t struct_size;
    int32_t grid_height;  /* rows of patches; 0 = 14 */
    int32_t grid_width;   /* 0 = 14 */
    int32_t channels;     /* 0 = 4 */
    int32_t patch;        /* side; 0 = 2 */
    int32_t width;        /* D; 0 = 384 */
    int32_t depth;        /* 0 = 12 */
    int32_t heads;        /* 0 = 6 */
    int32_t classes;      /* K; 0 = 1000 */
    uint32_t reserved;
    const char *pool;     /* "token" (NULL) or "avg" */
    const char *head;     /* "linear" (NULL), "probe" (batch norm, then linear), "none" */
} usp_vit_config;

#define USP_VIT_CONFIG_INIT \
    {USP_OPTIONS_SIZE(usp_vit_config), 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL}

/* A new model, as usp_mae_create. */
USP_API USP_CHECK usp_status usp_vit_create(
    const usp_vit_config *config, uint64_t seed, usp_model **out);
/* The sizes; pool and head are static strings in *out. */
USP_API USP_CHECK usp_status usp_vit_describe(const usp_model *vit, usp_vit_config *out);

/* Pooled and normed features.
 *   images  [B, C, H, W]  f32      out  [B, D]  f32 */
USP_API USP_CHECK usp_status usp_vit_features(
    const usp_model *vit, const usp_tensor *images, usp_tensor *out);

/* Class scores.
 *   images  [B, C, H, W]  f32      out  [B, K]  f32
 * Errors: UNSUPPORTED for a model without a head. */
USP_API USP_CHECK usp_status usp_vit_logits(
    const usp_model *vit, const usp_tensor *images, usp_tensor *out);

/* ---- dit: diffusion transformers, DiT and SiT --------------------------------------------- */

typedef struct usp_dit_config {
    uint32_t struct_size;
    int32_t grid_height;     /* rows of patches; 0 = 16 */
    int32_t grid_width;      /* 0 = 16 */
    int32_t channels;        /* C; 0 = 4 */
    int32_t patch;           /* side; 0 = 2 */
    int32_t width;           /* D; 0 = 384 */
    int32_t depth;           /* 0 = 12 */
    int32_t heads;           /* 0 = 6 */
    int32_t classes;         /* K; 0 = 1000; label K is the null class */
    int32_t affine;          /* 1 = norms have gamma and beta, which can take a ViT's (USP) */
    usp_choice learn_sigma;  /* a second set of channels is predicted; default yes */
    uint32_t reserved;
    const char *family;      /* "DiT" (NULL), or "SiT", which does not give the second set out */
} usp_dit_config;

#define USP_DIT_CONFIG_INIT \
    {USP_OPTIONS_SIZE(usp_dit_config), 0, 0, 0, 0, 0, 0, 0, 0, 0, USP_DEFAULT, 0, NULL}

/* A new model, as usp_mae_create. */
USP_API USP_CHECK usp_status usp_dit_create(
    const usp_dit_config *config, uint64_t seed, usp_model **out);
/* The sizes; family is a static string in *out. */
USP_API USP_CHECK usp_status usp_dit_describe(const usp_model *dit, usp_dit_config *out);

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
 *   channels  leading channels that are guided; 0 = 3, as the originals; C or more = all */
USP_API USP_CHECK usp_status usp_dit_forward_guided(
    const usp_model *dit, const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
    float scale, int32_t channels, usp_tensor *out);

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

/* ---- position: tables of two-dimensional positions ---------------------------------------- */

/* Sines and cosines of MAE and DiT for a grid of patches.
 *   out  [height * width, D]  f32; D a multiple of 4 */
USP_API USP_CHECK usp_status usp_position_sincos(int64_t height, int64_t width, usp_tensor *out);

/* Resample a table to another grid: bicubic as torch's interpolate (align_corners false). Rows in
 * front of the grid's (class tokens) are kept.
 *   table      [leading + old_height * old_width, D]  f32
 *   antialias  0 = none, as USP and MAE; 1 = as timm
 *   out        [leading + new_height * new_width, D]  f32 */
USP_API USP_CHECK usp_status usp_position_resize(
    const usp_tensor *table, int64_t old_height, int64_t old_width, int64_t new_height,
    int64_t new_width, int32_t antialias, usp_tensor *out);

/* ---- denoiser: what a sampler or a loss asks; a model of the library, or your function ---- */

/* Predict from noisy latents.
 *   x    [B, C, H, W]  f32  view
 *   t    [B]           f32  one time a sample, on the model's scale: 0 ... 999 or 0 ... 1
 *   y    [B]           i64  labels; NULL if the run has none
 *   out  [B, O, H, W]  f32  to be filled; O = out_channels: first the C of the prediction; of 2C
 *                           the rest are the variances, -1 ... 1 between the least and the largest
 *                           ("learned-range") or their logarithms ("learned")
 * With guidance B is twice the run's: conditional samples first, then the same with the null class.
 * Return 0; anything else ends the run with USP_ERROR_CALLBACK. */
typedef int32_t (*usp_denoise_fn)(const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
                                  usp_tensor *out, void *user);

typedef struct usp_denoiser {
    uint32_t struct_size;
    int32_t out_channels;      /* of function: O above; 0 = what the process needs (C, or 2C where
                                  variances are learned) */
    const usp_model *model;    /* a DiT or SiT, borrowed for the call; or NULL, and then: */
    usp_denoise_fn function;
    void *user;
    float guidance;            /* classifier-free scale; 0 or 1 = off. The run then needs y */
    int32_t guidance_channels; /* leading channels that guidance moves; 0 = 3, as the originals do;
                                  C or more = all */
    float guidance_begin;      /* guide only at times from begin to end, on the model's scale; */
    float guidance_end;        /* 0 and 0 = always */
    int64_t null_class;        /* of function, with guidance; a model knows its own */
    const usp_tensor *guidance_scales; /* [B] f32: a scale for each sample, in place of guidance */
} usp_denoiser;

#define USP_DENOISER_INIT \
    {USP_OPTIONS_SIZE(usp_denoiser), 0, NULL, NULL, NULL, 0, 0, 0, 0, 0, NULL}

/* Change predicted clean latents [B, C, H, W] in place, before they are clipped and used. Return 0;
 * anything else ends the run with USP_ERROR_CALLBACK. */
typedef int32_t (*usp_start_fn)(usp_tensor *start, void *user);

/* How a sampler runs; shared by all of them. */
typedef struct usp_sample_options {
    uint32_t struct_size;
    int32_t steps;             /* 0 = the sampler's own number; see each sampler */
    const char *method;        /* NULL = the sampler's own; see each sampler */
    uint64_t seed;             /* of the noise that is drawn between steps, without `noise` */
    const char *generator;     /* NULL = one counter-based stream a sample; "torch", "torch-cuda" =
                                  the numbers and the order of the original scripts, whose
                                  first draw after the seed is z */
    const usp_tensor *noise;   /* [S, B, C, H, W] f32: consumed in order, one entry a draw. S:
                                  steps of ddpm, and of ddim with eta; steps - 1 of dpm++sde and of
                                  SDEs */
    usp_progress_fn progress;  /* after each step; NULL = none */
    void *progress_user;
    usp_progress_fn preview;   /* every preview_interval steps, with usp_progress.latents set */
    void *preview_user;
    int32_t preview_interval;  /* 0 = 10 */
    int32_t clip;              /* 1 = clip predicted clean latents to [-1, 1] (diffusion) */
    float eta;                 /* DDIM: 0 is deterministic, 1 as noisy as ancestral sampling */
    float atol;                /* adaptive solvers; 0 = 1e-6 */
    float rtol;                /* adaptive solvers; 0 = 1e-3 */
    float timestep_shift;      /* 0 or 1 = none; LightningDiT uses 0.3 (transport) */
    const char *form;          /* SDE diffusion form (transport); NULL = "sigma" */
    float norm;                /* SDE diffusion norm; 0 = 1 */
    const char *last_step;     /* SDE: "Mean", "Tweedie", "Euler", "None"; NULL = "Mean" */
    float last_step_size;      /* SDE; 0 = 0.04 */
    int32_t first_sample;      /* number of the batch's first sample, for runs in parts: drawn noise
                                  goes by a sample's number */
    usp_start_fn adjust_start; /* at each step (diffusion); NULL = none */
    void *adjust_user;
    int64_t total_samples;     /* of all parts, which "torch" and "torch-cuda" draw at once; 0 = the
                                  batch's */
} usp_sample_options;

#define USP_SAMPLE_OPTIONS_INIT                                                              \
    {USP_OPTIONS_SIZE(usp_sample_options), 0, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, \
     0, 0, 0, 0, NULL, 0, NULL, 0, 0, NULL, NULL, 0}

/* ---- diffusion: DiT's Gaussian process ---------------------------------------------------- */

/* Schedules, losses and samplers of one process. Immutable: any thread. */
typedef struct usp_diffusion usp_diffusion;

typedef struct usp_diffusion_options {
    uint32_t struct_size;
    int32_t training_steps;  /* 0 = 1000 */
    const char *schedule;    /* "linear", "cosine"; NULL = "linear" */
    const char *respacing;   /* "250", "10,10,20", "ddim50"; NULL or "" = every step */
    const char *prediction;  /* "epsilon", "start", "previous"; NULL = "epsilon" */
    const char *variance;    /* "learned-range", "learned", "fixed-small", "fixed-large";
                                NULL = "learned-range" */
    const char *loss;        /* "mse", "rescaled-mse", "kl", "rescaled-kl"; NULL = "mse" */
} usp_diffusion_options;

#define USP_DIFFUSION_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_diffusion_options), 0, NULL, NULL, NULL, NULL, NULL}

/* out: owned. Errors: ARGUMENT naming the choices for an unknown one. */
USP_API USP_CHECK usp_status usp_diffusion_create(
    const usp_diffusion_options *options, usp_diffusion **out);
USP_API void usp_diffusion_free(usp_diffusion *diffusion);

/* Steps of a run, after respacing. */
USP_API int64_t usp_diffusion_steps(const usp_diffusion *diffusion);

/* One of the process's tables.
 *   name  "betas", "alphas_cumprod", "alphas_cumprod_prev", "alphas_cumprod_next",
 *         "posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1",
 *         "posterior_mean_coef2", "timestep_map"
 *   out   [steps]  f64 */
USP_API USP_CHECK usp_status usp_diffusion_table(
    const usp_diffusion *diffusion, const char *name, usp_tensor *out);

/* Noise clean latents to the level of a step.
 *   start, noise  [B, C, H, W]  f32      out  the same
 *   t             [B]           i64      0 ... steps - 1 */
USP_API USP_CHECK usp_status usp_diffusion_noise(
    const usp_diffusion *diffusion, const usp_tensor *start, const usp_tensor *t,
    const usp_tensor *noise, usp_tensor *out);

/* Latents from noise.
 *   z    [B, C, H, W]  f32  standard normal
 *   y    [B]           i64  labels, or NULL
 *   out  [B, C, H, W]  f32
 * options.method: "ddpm" (NULL), "ddim", "dpm++" (DPM-Solver++ 2M) or "dpm++sde"; options.steps
 * must be 0 or usp_diffusion_steps: the respacing says how many.
 * Errors: NOT_FINITE naming the step at which the model returned such a value. */
USP_API USP_CHECK usp_status usp_diffusion_sample(
    const usp_diffusion *diffusion, const usp_denoiser *denoiser, const usp_tensor *z,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out);

/* Noise from latents: DDIM run backwards. Arguments as usp_diffusion_sample. */
USP_API USP_CHECK usp_status usp_diffusion_invert(
    const usp_diffusion *diffusion, const usp_denoiser *denoiser, const usp_tensor *x,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out);

/* Training losses of a denoiser, per sample.
 *   start       [B, C, H, W]  f32  clean latents
 *   t           [B]           i64  0 ... steps - 1; NULL draws them from seed
 *   y           [B]           i64  labels, or NULL
 *   noise       [B, C, H, W]  f32  NULL draws it from seed
 *   out_losses  [B]           f32
 *   out_mse, out_vb  [B]      f32  the loss's parts, or NULL */
USP_API USP_CHECK usp_status usp_diffusion_losses(
    const usp_diffusion *diffusion, const usp_denoiser *denoiser, const usp_tensor *start,
    const usp_tensor *t, const usp_tensor *y, const usp_tensor *noise, uint64_t seed,
    usp_tensor *out_losses, usp_tensor *out_mse, usp_tensor *out_vb);

/* The whole variational bound of clean latents in bits per dimension: each step evaluated once.
 *   start      [B, C, H, W]  f32  clean latents, of the range [-1, 1]
 *   y          [B]           i64  labels, or NULL
 *   out_total  [B]           f32  the prior's term and the steps' together
 *   out_prior  [B]           f32  the prior's term, or NULL
 *   out_vb, out_start_mse, out_noise_mse  [B, steps]  f32  the steps' terms and the squared errors
 *              of the predicted latents and noise, the noisiest step first; or NULL
 * options: clip (the original clips), noise [steps, B, C, H, W], seed, progress. */
USP_API USP_CHECK usp_status usp_diffusion_bits_per_dimension(
    const usp_diffusion *diffusion, const usp_denoiser *denoiser, const usp_tensor *start,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out_total,
    usp_tensor *out_prior, usp_tensor *out_vb, usp_tensor *out_start_mse,
    usp_tensor *out_noise_mse);

/* ---- transport: SiT's interpolants -------------------------------------------------------- */

/* Paths between noise (t = 0) and data (t = 1), losses and solvers. Immutable: any thread. */
typedef struct usp_transport usp_transport;

typedef struct usp_transport_options {
    uint32_t struct_size;
    uint32_t reserved;
    const char *path;        /* "Linear", "GVP", "VP"; NULL = "Linear" */
    const char *prediction;  /* "velocity", "score", "noise"; NULL = "velocity" */
    const char *loss_weight; /* "velocity", "likelihood"; NULL = none */
    float train_epsilon;     /* 0 = the original's for path and prediction */
    float sample_epsilon;    /* 0 = the original's for path and prediction */
} usp_transport_options;

#define USP_TRANSPORT_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_transport_options), 0, NULL, NULL, NULL, 0, 0}

/* out: owned. Errors: ARGUMENT naming the choices for an unknown one. */
USP_API USP_CHECK usp_status usp_transport_create(
    const usp_transport_options *options, usp_transport **out);
USP_API void usp_transport_free(usp_transport *transport);

/* Where a run starts and ends, by the original's rule for path and prediction; an end at which the
 * field would be infinite is moved by 0.001.
 *   stochastic  0: usp_transport_sample_ode; 1: usp_transport_sample_sde with these options
 *   note        a sentence for each moved end, "" if none; cut to the capacity. out_length: without
 *               the NUL, may be NULL. */
USP_API USP_CHECK usp_status usp_transport_interval(
    const usp_transport *transport, int32_t stochastic, const usp_sample_options *options,
    double *out_start, double *out_end, char *note, size_t capacity, size_t *out_length);

/* Latents from noise along the probability-flow ODE.
 *   z    [B, C, H, W]  f32  standard normal
 *   y    [B]           i64  labels, or NULL
 *   out  [B, C, H, W]  f32
 * options.method: "dopri5" (NULL, adaptive), "euler", "midpoint", "heun", "heun3",
 * "rk4", "adams-bashforth" (ab2), "adams-bashforth3" (ab3);
 * options.steps: points of time, 0 = 50. */
USP_API USP_CHECK usp_status usp_transport_sample_ode(
    const usp_transport *transport, const usp_denoiser *denoiser, const usp_tensor *z,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out);

/* Noise from latents: the same ODE, run backwards. */
USP_API USP_CHECK usp_status usp_transport_invert_ode(
    const usp_transport *transport, const usp_denoiser *denoiser, const usp_tensor *x,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out);

/* Latents from noise along an SDE with the same marginals.
 * options.method: "Euler" (NULL), "Heun"; options.form: "constant", "SBDM", "sigma" (NULL),
 * "linear", "decreasing", "increasing-decreasing"; options.steps: 0 = 250. */
USP_API USP_CHECK usp_status usp_transport_sample_sde(
    const usp_transport *transport, const usp_denoiser *denoiser, const usp_tensor *z,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out);

/* Training losses of a denoiser, per sample.
 *   data        [B, C, H, W]  f32  clean latents
 *   t           [B]           f32  times; NULL draws them from seed
 *   y           [B]           i64  labels, or NULL
 *   noise       [B, C, H, W]  f32  NULL draws it from seed
 *   out_losses  [B]           f32 */
USP_API USP_CHECK usp_status usp_transport_losses(
    const usp_transport *transport, const usp_denoiser *denoiser, const usp_tensor *data,
    const usp_tensor *t, const usp_tensor *y, const usp_tensor *noise, uint64_t seed,
    usp_tensor *out_losses);

/* Log-likelihood of latents, by the instantaneous change of variables with Hutchinson's estimator.
 * The divergence along the probe is exact for a model of the library (one pass forwards and back);
 * for a function, and with guidance, a central difference: three evaluations, and an error of about
 * 1e-4 where the network bends.
 *   x         [B, C, H, W]  f32
 *   y         [B]           i64  labels, or NULL
 *   out_logp  [B]           f32  nats
 *   out_z     [B, C, H, W]  f32  the noise that x came from, or NULL
 * options.noise: [1, B, C, H, W] the probe; NULL = signs from seed. */
USP_API USP_CHECK usp_status usp_transport_likelihood(
    const usp_transport *transport, const usp_denoiser *denoiser, const usp_tensor *x,
    const usp_tensor *y, const usp_sample_options *options, usp_tensor *out_logp,
    usp_tensor *out_z);

/* ---- trainer: one update at a time, from your own batches --------------------------------- */

/* A private copy of a model's parameters with optimiser state and moving average. What is minimised
 * goes by the family: reconstruction and divergence (VAE), masked patches (MAE), cross entropy
 * (ViT), the Gaussian process's loss (DiT), the transport's (SiT).
 * One thread at a time, except for usp_trainer_cancel. */
typedef struct usp_trainer usp_trainer;

/* Sum `data` over all ranks, in place: the flat gradient slab, called in the same order on all
 * ranks; the library divides. Return 0; anything else ends the step with USP_ERROR_CALLBACK. */
typedef int32_t (*usp_allreduce_fn)(float *data, size_t count, void *user);

/* What a transformer's training step computes again for its gradients instead of keeping it: the
 * same bits from less memory in more time. Figures: MAE-B, batch 16, AdamW, f32 (bf16). */
typedef enum usp_recompute {
    USP_RECOMPUTE_NOTHING = 0,
    USP_RECOMPUTE_BLOCKS = 1, /* each block, of which only the input is kept: 0.69 (0.81) of the
                                 memory in 1.20 (1.18) of the time */
    USP_RECOMPUTE_HIDDEN = 2  /* the hidden layer of each block: 0.86 (0.92) of the memory in 1.09
                                 (1.08) of the time */
} usp_recompute;

typedef struct usp_trainer_options {
    uint32_t struct_size;
    int32_t accumulation;     /* equal parts that a batch is cut into; 0 = 1 */
    const char *optimizer;    /* "adamw" (NULL) or "lars" */
    float rate;               /* peak learning rate; 0 = 1e-4 */
    float minimum_rate;       /* where the half cosine ends */
    int64_t warmup;           /* steps of linear warm-up */
    int64_t steps;            /* steps in all; 0 = constant rate after the warm-up */
    float weight_decay;       /* of matrices, but not a ViT's cls_token and pos_embed */
    float beta1;              /* 0 = 0.9 (the momentum of lars) */
    float beta2;              /* 0 = 0.999 */
    float average_decay;      /* of the exponential moving average; 0 = no average */
    float clip_norm;          /* largest norm of all gradients together; 0 = no clipping */
    float layer_decay;        /* factor of the rate a layer away from the head; 0 = 1 */
    const char *compute;      /* "f32" (NULL) or "bf16" */
    uint64_t seed;            /* of everything that is drawn: noise, times, masks, dropped labels */
    float mask_ratio;         /* MAE; 0 = 0.75 */
    usp_choice norm_pix_loss; /* MAE: normalise target patches; default yes */
    float kl_weight;          /* VAE; 0 = 1e-6 */
    float label_smoothing;    /* ViT */
    float label_dropout;      /* DiT, SiT: share of labels that become the null class */
    int32_t head_only;        /* ViT: 1 = a linear probe */
    const char *reconstruction;     /* VAE: "squared" (NULL) or "absolute" */
    const usp_diffusion *diffusion; /* DiT: the process, kept; NULL = 1000 linear steps */
    const usp_transport *transport; /* SiT: the transport, kept; NULL = Linear, velocity */
    usp_allreduce_fn allreduce;     /* NULL = trains alone */
    void *allreduce_user;
    int32_t world_size;             /* ranks, with allreduce */
    float drop_path;                /* ViT: rate in the last block; it grows linearly from 0 */
    int32_t average_warms_up;       /* 1 = decay min(average_decay, (1 + n)/(10 + n)) at step n */
    int32_t recompute;              /* a usp_recompute; 0 = nothing (all that a VAE can do) */
    int32_t exact;                  /* 1 = plain sums everywhere, as in usp_model_options */
} usp_trainer_options;

#define USP_TRAINER_OPTIONS_INIT                                                             \
    {USP_OPTIONS_SIZE(usp_trainer_options), 0, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, \
     USP_DEFAULT, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0}

/* Start from a copy of the model's parameters, at step 0. out: owned. Errors: ARGUMENT for numbers
 * out of range and options that have no part in the family. */
USP_API USP_CHECK usp_status usp_trainer_create(
    const usp_model *model, const usp_trainer_options *options, usp_trainer **out);
USP_API void usp_trainer_free(usp_trainer *trainer);

/* One update.
 *   inputs    [B, C, H, W]  f32  images (VAE, ViT on pixels) or latents;
 *             [B, D]        f32  with head_only also features (usp_vit_features), computed once
 *   labels    [B]           i64  ViT; DiT and SiT, where NULL is the null class. ViT also takes
 *             [B, K]        f32  shares of the classes, as mixup makes them
 *   times     [B]           f32  DiT whole, 0 ... steps - 1; SiT 0 ... 1; NULL draws them
 *   noise                   f32  of the inputs' shape (DiT, SiT), the latents' (VAE), or [B, T]
 *                                (MAE's masking); NULL draws it
 *   out_loss                mean over the batch; may be NULL
 * Errors: CANCELLED; NOT_FINITE naming the step if the loss or what ranks sum is; ARGUMENT for
 * times or noise that the family has no use for (labels are then not read). Parameters are then as
 * before the step. */
USP_API USP_CHECK usp_status usp_trainer_step(
    usp_trainer *trainer, const usp_tensor *inputs, const usp_tensor *labels,
    const usp_tensor *times, const usp_tensor *noise, float *out_loss);

/* The loss that the next step would have on this batch, in one part and without clipping, and its
 * gradient for every parameter that it would train, in the names of the file that the model came
 * from. Nothing changes. Inputs as usp_trainer_step. out_gradients: owned. */
USP_API USP_CHECK usp_status usp_trainer_gradients(
    usp_trainer *trainer, const usp_tensor *inputs, const usp_tensor *labels,
    const usp_tensor *times, const usp_tensor *noise, float *out_loss,
    usp_checkpoint **out_gradients);

/* Steps done; learning rate and gradient norm (0 without clipping) of the last one. */
USP_API int64_t usp_trainer_steps(const usp_trainer *trainer);
USP_API float usp_trainer_rate(const usp_trainer *trainer);
USP_API float usp_trainer_gradient_norm(const usp_trainer *trainer);

/* A copy of the model as it is now; averaged = 1 takes the moving average. out: owned. */
USP_API USP_CHECK usp_status usp_trainer_model(
    usp_trainer *trainer, int32_t averaged, usp_model **out);

/* Write and read everything that training needs to go on as if it had never stopped: parameters,
 * moments, average, counts; not the options, which the new trainer has to be given again. The file
 * appears complete or not at all.
 * Errors: IO, FORMAT; MISSING_WEIGHT, SHAPE or DTYPE naming what does not fit: nothing has changed
 * then. */
USP_API USP_CHECK usp_status usp_trainer_save(usp_trainer *trainer, const char *path);
USP_API USP_CHECK usp_status usp_trainer_restore(usp_trainer *trainer, const char *path);

/* Stop the step under way, unless it has begun to change parameters, or else the next one; any
 * thread. */
USP_API void usp_trainer_cancel(usp_trainer *trainer);

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

/* ---- inception: features of images, as published scores are measured with ------------------ */

/* TensorFlow's Inception of 2015-12-05, 1008 outputs (Szegedy et al. 2015). usp_model_open reads
 * its PyTorch ports pt_inception-2015-12-05-6726825d.pth (pytorch-fid) and
 * weights-inception-2015-12-05-6726825d.pth (torch-fidelity), which hold the same weights. It
 * refuses torchvision's own Inception (UNSUPPORTED), whose features give other numbers. */

typedef struct usp_inception_options {
    uint32_t struct_size;
    uint32_t reserved;
    const char *preprocessing;  /* "tensorflow" (NULL): TensorFlow 1's bilinear resizing to 299x299
                                   and (x - 128) / 128, as ADM's evaluator, TTUR and torch-fidelity;
                                   "pytorch-fid": half-pixel resizing and x / 127.5 - 1, the numbers
                                   of that package, which differ a little */
} usp_inception_options;

#define USP_INCEPTION_OPTIONS_INIT {USP_OPTIONS_SIZE(usp_inception_options), 0, NULL}

/* A network with random parameters, for tests: published numbers need published weights.
 * out: owned. */
USP_API USP_CHECK usp_status usp_inception_create(uint64_t seed, usp_model **out);

/* Features of images of any size; those of one do not depend on the others.
 *   images       [N, H, W, 3]  u8   RGB; N of at least 1
 *   out_pool     [N, 2048]     f32  pool_3: FID (usp_evaluate_frechet), precision and recall; >= 0
 *   out_spatial  [N, 2023]     f32  the first 7 channels of mixed_6/conv, 17x17, in the order row,
 *                                   column, channel: sFID, the same distance; >= 0
 *   out_logits   [N, 1008]     f32  before softmax and without the bias: usp_evaluate_inception
 * Outputs may be NULL. Within 1e-5 of the largest value of exact arithmetic (usp_model_options).
 * Source: guided-diffusion's evaluations/evaluator.py.
 * Errors: SHAPE, DTYPE, MEMORY; ARGUMENT for another family or an unknown preprocessing. */
USP_API USP_CHECK usp_status usp_inception_features(
    const usp_model *inception, const usp_tensor *images, const usp_inception_options *options,
    usp_tensor *out_pool, usp_tensor *out_spatial, usp_tensor *out_logits);

/* ---- evaluate: numbers that say how good images or predictions are ------------------------ */

/* Frechet distance between two sets of features: FID over Inception's pool features, sFID over its
 * spatial ones.
 *   a    [N, D]  f32      b  [M, D]  f32;  N, M of at least 2 */
USP_API USP_CHECK usp_status usp_evaluate_frechet(
    const usp_tensor *a, const usp_tensor *b, double *out);

/* The same from means and covariances, as reference files store them.
 *   mean_a, mean_b              [D]     f64
 *   covariance_a, covariance_b  [D, D]  f64 */
USP_API USP_CHECK usp_status usp_evaluate_frechet_statistics(
    const usp_tensor *mean_a, const usp_tensor *covariance_a, const usp_tensor *mean_b,
    const usp_tensor *covariance_b, double *out);

/* Inception score over consecutive splits.
 *   logits         [N, K]  f32, before softmax
 *   split_size     images of a split; 0 = 5000
 *   out_mean, out_deviation  over the splits; the latter may be NULL */
USP_API USP_CHECK usp_status usp_evaluate_inception(
    const usp_tensor *logits, int64_t split_size, double *out_mean, double *out_deviation);

/* Improved precision and recall of samples against a reference.
 *   reference  [N, D]  f32      samples  [M, D]  f32
 *   neighbours 0 = 3 */
USP_API USP_CHECK usp_status usp_evaluate_precision_recall(
    const usp_tensor *reference, const usp_tensor *samples, int32_t neighbours,
    double *out_precision, double *out_recall);

/* Share of samples whose label is among the k largest logits.
 *   logits  [N, K]  f32      labels  [N]  i64      k  0 = 1
 * Errors: SHAPE if there are no samples; ARGUMENT naming the row that has NaN. */
USP_API USP_CHECK usp_status usp_evaluate_accuracy(
    const usp_tensor *logits, const usp_tensor *labels, int32_t k, double *out);

/* Mean intersection over union of label maps, over the classes that occur.
 *   predicted, target  [..]  i64, 0 ... classes - 1; a target of `ignored` is not counted */
USP_API USP_CHECK usp_status usp_evaluate_mean_iou(
    const usp_tensor *predicted, const usp_tensor *target, int64_t classes, int64_t ignored,
    double *out);

#ifdef __cplusplus
}
#endif

#endif /* USP_H */

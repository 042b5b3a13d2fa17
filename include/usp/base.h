/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_BASE_H
#define USP_BASE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define USP_BEGIN_DECLARATIONS extern "C" {
#define USP_END_DECLARATIONS }
#else
#define USP_BEGIN_DECLARATIONS
#define USP_END_DECLARATIONS
#endif

#if defined(__GNUC__) || defined(__clang__)
#define USP_API __attribute__((visibility("default")))
#define USP_CHECK __attribute__((warn_unused_result))
#else
#define USP_API
#define USP_CHECK
#endif

USP_BEGIN_DECLARATIONS

/* ---- version: what was compiled against, and what was loaded ------------------------------ */

#define USP_VERSION_MAJOR 0
#define USP_VERSION_MINOR 1
#define USP_VERSION_PATCH 0

/* Grows with every removal and every change of a signature or a layout. A program is compatible
 * with a library of the same number. */
#define USP_ABI_VERSION 2

/* "0.1.0": the library's version, static. */
USP_API const char *usp_version(void);

/* USP_ABI_VERSION of the library that was loaded. */
USP_API uint32_t usp_abi_version(void);

/* What the library was built for and what it uses here, such as "usp 0.1.0 x86_64 avx512-bf16"
 * ("baseline", "avx2", "avx512" or "avx512-bf16"), static. For logs, not for parsing. */
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

/* Use `count` threads from now on, the caller's included; 0 (the start) means one per processor
 * that the process may use now: those of its affinity (taskset), or fewer where its cgroup is
 * granted less time (containers). Never changes results. Call it before heavy work, not during it.
 * Errors: ARGUMENT if negative. */
USP_API USP_CHECK usp_status usp_set_threads(int32_t count);

/* The number of threads that a computation may use. */
USP_API int32_t usp_threads(void);

/* ---- memory: what is kept for the next call ----------------------------------------------- */

/* Memory that calls are done with is kept for the next ones. Freeing a large object (a model, a
 * trainer) gives all that is not in use back to the system; this does so at any time. */
USP_API void usp_trim(void);

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

/* Every options struct begins with its own size, and its INIT macro writes that and the defaults, so
 * every value is meant as it stands, zero too:
 *
 *     usp_save_options options = USP_SAVE_OPTIONS_INIT;
 *     options.dtype = "bf16";
 *
 * NULL instead of options means all defaults, and so does NULL for a text. A program compiled against
 * an older header keeps working (what it does not know has its default); a newer one is told
 * USP_ERROR_UNSUPPORTED if it sets a field that the loaded library does not know. Booleans are 0 or
 * 1. A field's comment says what stands for absence where something else then decides. */

/* No number: an optional real field that is absent. */
#define USP_ABSENT ((double)NAN)

#define USP_OPTIONS_SIZE(type) ((uint32_t)sizeof(type))

USP_END_DECLARATIONS

#endif /* USP_BASE_H */

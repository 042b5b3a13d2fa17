/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_CHECKPOINT_H
#define USP_CHECKPOINT_H

#include "base.h"

USP_BEGIN_DECLARATIONS

/* ---- checkpoint: named arrays, from any file or from memory ------------------------------- */

/* The content decides what a file is: safetensors (one file, or sharded with an index), PyTorch zip
 * archives and the older stream format, npy, npz, idx. Nothing in a file is executed. An array is
 * read when it is asked for. Immutable once created: any thread.
 *
 * Files of up to 32 MiB are read into memory when they are opened (1 ms for 8 MiB, 16 ms for 31
 * MiB); larger ones are mapped (0.1 ms), and models and checkpoints view them. Such a file may be
 * replaced by renaming or removed. Where it is written to or cut short instead, calls that use it
 * return USP_ERROR_IO until it is opened again, and never end the process: the library handles
 * SIGBUS in its own mappings (parts that are gone read as zeros, also through views) and passes
 * everything else on to the handler that was there. A host that installs a handler of its own
 * while a file is mapped should pass on what is not its own in the same way. */
typedef struct usp_checkpoint usp_checkpoint;

/* usp_checkpoint_options: written by make abi */
typedef struct usp_checkpoint_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Nested table or prefix, such as ema or first_stage_model; * is everything under its full
     * name. Absent: the averaged weights where a training file has some, else the model's, else
     * the file's top level. NULL: absent. */
    const char *table;
} usp_checkpoint_options;

#define USP_CHECKPOINT_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_checkpoint_options), 0, NULL}
/* end of usp_checkpoint_options */

/* usp_save_options: written by make abi */
typedef struct usp_save_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Layout of the file; torch opens with torch.load(weights_only=True), npz and npy keep no
     * texts. Absent: by the name's ending, .safetensors, .pt .pth .ckpt .bin, .npz or .npy. One
     * of safetensors, torch, npz, npy. NULL: absent. */
    const char *format;
    /* Element type of floating arrays; int8 (safetensors) gives weights of products a scale a
     * row and leaves others. Absent: as they are. One of f32, bf16, f16, i8. NULL: absent. */
    const char *dtype;
    /* Keys that a torch file nests the arrays under, such as model,ema. Empty: the top level.
     * Default: none. */
    const char *tables;
    /* A CRC-32 of each array in a safetensors file, verified when it is read; torch files have
     * them anyway. Default: no. */
    int64_t checksums;
} usp_save_options;

#define USP_SAVE_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_save_options), 0, NULL, NULL, NULL, 0}
/* end of usp_save_options */

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
 * memory is read-only. Compressed and strided arrays are unpacked once and kept with it. Errors:
 * MISSING_WEIGHT for a name that is not there, UNSUPPORTED for one that cannot be read, FORMAT
 * where the file has a checksum of it (zip archives do) and it differs, IO for a file that was
 * written to. */
USP_API USP_CHECK usp_status usp_checkpoint_tensor(
    const usp_checkpoint *checkpoint, const char *name, usp_tensor *out);

/* Describe the array of this name without reading it: data is NULL. */
USP_API USP_CHECK usp_status usp_checkpoint_shape(
    const usp_checkpoint *checkpoint, const char *name, usp_tensor *out);

/* Arrays of the table that are in the file and cannot be read (complex numbers, texts, quantised
 * tensors, ...): full name and reason of each, views. float8 arrays are read, as F16, exactly. */
USP_API size_t usp_checkpoint_unread_count(const usp_checkpoint *checkpoint);
USP_API const char *usp_checkpoint_unread_name(const usp_checkpoint *checkpoint, size_t index);
USP_API const char *usp_checkpoint_unread_reason(const usp_checkpoint *checkpoint, size_t index);

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

USP_END_DECLARATIONS

#endif /* USP_CHECKPOINT_H */

/* The layouts that programs were compiled with: a change here is a new USP_ABI_VERSION. */
#include "usp.h"

#include <assert.h>

#define SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type)
#define AT(type, field, offset) static_assert(offsetof(type, field) == (offset), #type "." #field)

SIZE(usp_status, 4);
SIZE(usp_dtype, 4);

SIZE(usp_tensor, 144);
AT(usp_tensor, data, 0);
AT(usp_tensor, shape, 8);
AT(usp_tensor, strides, 72);
AT(usp_tensor, rank, 136);
AT(usp_tensor, dtype, 140);

SIZE(usp_progress, 40);
AT(usp_progress, stage, 0);
AT(usp_progress, step, 8);
AT(usp_progress, steps, 16);
AT(usp_progress, seconds, 24);
AT(usp_progress, latents, 32);

SIZE(usp_transfer_options, 112);
AT(usp_transfer_options, seed, 32);
AT(usp_transfer_options, channel_rule, 48);
AT(usp_transfer_options, table, 104);

static_assert(USP_OK == 0 && USP_ERROR_ARGUMENT == -1 && USP_ERROR_SHAPE == -2, "statuses");
static_assert(USP_ERROR_DTYPE == -3 && USP_ERROR_IO == -4 && USP_ERROR_FORMAT == -5, "statuses");
static_assert(USP_ERROR_MISSING_WEIGHT == -6 && USP_ERROR_UNSUPPORTED == -7, "statuses");
static_assert(USP_ERROR_MEMORY == -8 && USP_ERROR_CANCELLED == -9, "statuses");
static_assert(USP_ERROR_CALLBACK == -10 && USP_ERROR_INTERNAL == -11, "statuses");
static_assert(USP_F32 == 0 && USP_BF16 == 1 && USP_F16 == 2 && USP_F64 == 3, "dtypes");
static_assert(USP_I64 == 4 && USP_I32 == 5 && USP_I16 == 6 && USP_I8 == 7, "dtypes");
static_assert(USP_U8 == 8 && USP_BOOL == 9 && USP_MAX_RANK == 8, "dtypes");

/* version, status, tensor: NULLs, ranks, dtypes, strides, alignment, overlap. */
#include "check.h"

static void version_and_status(void) {
    EXPECT(usp_abi_version() == USP_ABI_VERSION);
    EXPECT(strcmp(usp_version(), "0.1.0") == 0);
    EXPECT(strncmp(usp_build_info(), "usp ", 4) == 0);
    EXPECT(strcmp(usp_status_name(USP_ERROR_DTYPE), "USP_ERROR_DTYPE") == 0);
    EXPECT(strcmp(usp_status_name((usp_status)-99), "USP_ERROR_UNKNOWN") == 0);
    EXPECT(usp_last_error() != NULL);
    EXPECT(usp_dtype_size(USP_BF16) == 2 && usp_dtype_size((usp_dtype)77) == 0);
    EXPECT(strcmp(usp_dtype_name(USP_I64), "i64") == 0 && usp_dtype_name((usp_dtype)77) == NULL);
}

static void wrong_tensors(void) {
    float values[8] = {0};
    usp_tensor good = tensor(values, USP_F32, SHAPE(2, 4)), bad = good;
    EXPECT_STATUS(usp_tensor_copy(NULL, &good), USP_ERROR_ARGUMENT, "source: is NULL");
    EXPECT_STATUS(usp_tensor_copy(&good, NULL), USP_ERROR_ARGUMENT, "out: is NULL");
    bad.rank = 9;
    EXPECT_STATUS(usp_tensor_copy(&bad, &good), USP_ERROR_SHAPE, "rank 9");
    bad.rank = -1;
    EXPECT_STATUS(usp_tensor_copy(&bad, &good), USP_ERROR_SHAPE, "rank -1");
    bad = good;
    bad.dtype = (usp_dtype)42;
    EXPECT_STATUS(usp_tensor_copy(&bad, &good), USP_ERROR_DTYPE, "unknown dtype 42");
    bad = good;
    bad.data = NULL;
    EXPECT_STATUS(usp_tensor_copy(&bad, &good), USP_ERROR_ARGUMENT, "data is NULL");
    bad.data = (char *)values + 2;
    EXPECT_STATUS(usp_tensor_copy(&bad, &good), USP_ERROR_ARGUMENT, "not aligned");
    bad = good;
    bad.shape[0] = -2;
    EXPECT_STATUS(usp_tensor_copy(&bad, &good), USP_ERROR_SHAPE, "negative extent");
    bad.shape[0] = INT64_MAX / 2;
    EXPECT_STATUS(usp_tensor_copy(&bad, &good), USP_ERROR_ARGUMENT, "does not fit");
    bad = good;
    bad.strides[0] = -4;
    EXPECT_STATUS(usp_tensor_copy(&bad, &good), USP_ERROR_ARGUMENT, "negative");
    bad.strides[0] = INT64_MAX / 2;
    bad.strides[1] = INT64_MAX / 2;
    EXPECT_STATUS(usp_tensor_copy(&bad, &good), USP_ERROR_ARGUMENT, "does not fit");
    bad = tensor(values, USP_F32, SHAPE(4, 2));
    EXPECT_STATUS(usp_tensor_copy(&bad, &good), USP_ERROR_SHAPE, "expected [4, 2]");
    bad = good;
    bad.strides[0] = 1;
    bad.strides[1] = 1;
    EXPECT_STATUS(usp_tensor_copy(&good, &bad), USP_ERROR_ARGUMENT, "share an address");
    bad = tensor(NULL, USP_F32, SHAPE(0, 3));
    EXPECT_OK(usp_tensor_copy(&bad, &bad));
}

static void strided_and_converted(void) {
    float values[6] = {0, 1, 2, 3, 4.6f, -5}, transposed[6];
    usp_tensor source = tensor(values, USP_F32, SHAPE(3, 2)), out;
    source.strides[0] = 1;
    source.strides[1] = 3;
    out = tensor(transposed, USP_F32, SHAPE(3, 2));
    EXPECT_OK(usp_tensor_copy(&source, &out));
    EXPECT(transposed[1] == 3 && transposed[2] == 1 && transposed[5] == -5);

    int64_t whole[6];
    out = tensor(whole, USP_I64, SHAPE(3, 2));
    EXPECT_OK(usp_tensor_copy(&source, &out));
    EXPECT(whole[3] == 4 && whole[5] == -5);

    uint8_t bytes[12] = {0};
    out = tensor(bytes, USP_U8, SHAPE(3, 2));
    out.strides[0] = 4;
    out.strides[1] = 2;
    EXPECT_OK(usp_tensor_copy(&source, &out));
    EXPECT(bytes[6] == 4 && bytes[10] == 0 && bytes[1] == 0);

    uint16_t words[6];
    out = tensor(words, USP_BF16, SHAPE(3, 2));
    EXPECT_OK(usp_tensor_copy(&source, &out));
    EXPECT(words[2] == 0x3f80);
}

static void noise(void) {
    float eight[16], four[8];
    usp_tensor out = tensor(eight, USP_F32, SHAPE(8, 2));
    EXPECT_OK(usp_random_normal(3, &out));
    out = tensor(four, USP_F32, SHAPE(4, 2));
    EXPECT_OK(usp_random_normal(3, &out));
    EXPECT(memcmp(eight, four, sizeof four) == 0);
    out.dtype = USP_F64;
    EXPECT_STATUS(usp_random_normal(3, &out), USP_ERROR_DTYPE, "expected f32");
}

void test_tensor(void) {
    version_and_status();
    wrong_tensors();
    strided_and_converted();
    noise();
}

/* version, status, tensor: NULLs, ranks, dtypes, strides, alignment, overlap. */
#include "check.h"

static void version_and_status(void) {
    EXPECT(usp_abi_version() == USP_ABI_VERSION);
    EXPECT(strcmp(usp_version(), "0.1.0") == 0);
    char version[16], processor[16], set[16], more[16];
    EXPECT(sscanf(usp_build_info(), "usp %15s %15s %15s %15s", version, processor, set, more) == 3);
    EXPECT(strcmp(version, usp_version()) == 0);
#if defined(__x86_64__)
    EXPECT(strcmp(processor, "x86_64") == 0);
#endif
    EXPECT(strcmp(set, "baseline") == 0 || strncmp(set, "avx", 3) == 0);
    EXPECT(strcmp(usp_status_name(USP_ERROR_DTYPE), "USP_ERROR_DTYPE") == 0);
    EXPECT(strcmp(usp_status_name((usp_status)-99), "USP_ERROR_UNKNOWN") == 0);
    EXPECT(usp_last_error() != NULL);
    EXPECT(usp_dtype_size(USP_BF16) == 2 && usp_dtype_size((usp_dtype)77) == 0);
    EXPECT(strcmp(usp_dtype_name(USP_I64), "i64") == 0 && usp_dtype_name((usp_dtype)77) == NULL);
}

static int32_t never(const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
                     usp_tensor *out, void *user) {
    (void)x, (void)t, (void)y, (void)out, (void)user;
    return 1;
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

/* However many samples an array without elements claims: its answer comes at once. */
static void nothing_at_all(void) {
    const int64_t many = (int64_t)1 << 40;
    usp_tensor flat = tensor(NULL, USP_F32, SHAPE(many, 0));
    usp_tensor images = tensor(NULL, USP_F32, SHAPE(many, 3, 0, 8));
    usp_tensor latents = tensor(NULL, USP_F32, SHAPE(many, 4, 0, 8));
    usp_tensor labels = tensor(NULL, USP_I64, SHAPE(many, 0));
    double value = 0, other = 0;
    EXPECT_OK(usp_random_normal(3, &flat));
    EXPECT_OK(usp_random_torch("cpu", 3, &flat));
    EXPECT_OK(usp_random_torch("cuda", 3, &flat));
    EXPECT_OK(usp_tensor_copy(&flat, &flat));
    EXPECT_STATUS(usp_evaluate_frechet(&flat, &flat, &value), USP_ERROR_SHAPE, "at least one");
    EXPECT_STATUS(usp_evaluate_inception(&flat, 0, &value, NULL), USP_ERROR_SHAPE, "at least one");
    EXPECT_STATUS(usp_evaluate_precision_recall(&flat, &flat, 0, &value, &other), USP_ERROR_SHAPE,
                  "at least one");
    EXPECT_STATUS(usp_evaluate_mean_iou(&labels, &labels, 3, 255, &value), USP_ERROR_ARGUMENT,
                  "no pixel");
    usp_model *vae = NULL;
    EXPECT_OK(usp_model_create("VAE", "base_width=8 groups=8 multipliers=1,2", 1, &vae));
    EXPECT_STATUS(usp_vae_encode(vae, &images, NULL, &latents, NULL), USP_ERROR_SHAPE,
                  "images: shape [1099511627776, 3, 0, 8], expected at least one element");
    EXPECT_STATUS(usp_vae_decode(vae, &latents, NULL, &images), USP_ERROR_SHAPE, "at least one");
    usp_model_free(vae);
    usp_transport *transport = NULL;
    usp_denoiser denoiser = USP_DENOISER_INIT;
    EXPECT_OK(usp_transport_create(NULL, &transport));
    denoiser.function = never;
    EXPECT_STATUS(usp_transport_sample_ode(transport, &denoiser, &latents, NULL, NULL, &latents),
                  USP_ERROR_SHAPE, "at least one");
    usp_transport_free(transport);
}

/* Sizes that end within a field, and structs where none may lie. */
static void odd_structs(void) {
    _Alignas(8) char space[256] = {0};
    usp_diffusion_options options = USP_DIFFUSION_OPTIONS_INIT;
    usp_diffusion *diffusion = NULL;
    for (uint32_t size = 0; size <= sizeof options; size++) {
        usp_diffusion_options given = options;
        given.struct_size = size;
        if (size >= 8 && size % 8 == 0) {
            EXPECT_OK(usp_diffusion_create(&given, &diffusion));
            usp_diffusion_free(diffusion);
        } else {
            EXPECT_STATUS(usp_diffusion_create(&given, &diffusion), USP_ERROR_ARGUMENT,
                          "struct_size");
        }
    }
    usp_model *model = NULL;
    EXPECT_OK(usp_model_create("ViT", "grid=2x2 width=16 depth=1 heads=2 classes=3", 1, &model));
    for (int offset = 1; offset < 8; offset++) {
        memcpy(space + offset, &options, sizeof options);
        EXPECT_STATUS(usp_diffusion_create((void *)(space + offset), &diffusion),
                      USP_ERROR_ARGUMENT, "options: is misaligned");
        usp_tensor *out = (void *)(space + offset);
        EXPECT_STATUS(usp_model_input(model, 1, out), USP_ERROR_ARGUMENT, "out: is misaligned");
        EXPECT_STATUS(usp_random_normal(1, out), USP_ERROR_ARGUMENT, "out: is misaligned");
        EXPECT_STATUS(usp_diffusion_create(&options, (usp_diffusion **)(space + offset)),
                      USP_ERROR_ARGUMENT, "out: is misaligned");
    }
    usp_model_free(model);
}

void test_tensor(void) {
    version_and_status();
    wrong_tensors();
    nothing_at_all();
    odd_structs();
    strided_and_converted();
    noise();
}

/* Sizes that a caller or a file chooses, under a limit of memory: an error each, never an end.
 * Results lie in shared pages, which the limit does not count. */
#include "check.h"

#include <sys/mman.h>
#include <sys/resource.h>

int checks, failures;

static usp_tensor large(usp_dtype dtype, int rank, const int64_t *shape) {
    size_t bytes = usp_dtype_size(dtype);
    for (int axis = 0; axis < rank; axis++) bytes *= (size_t)shape[axis];
    int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    EXPECT(data != MAP_FAILED);
    return tensor(data, dtype, rank, shape);
}

static void positions(void) {
    usp_tensor out = large(USP_F32, SHAPE(1 << 20, 1024));
    EXPECT_STATUS(usp_position_sincos(1 << 20, 1, &out), USP_ERROR_MEMORY, "cannot allocate");
    EXPECT_STATUS(usp_position_sincos(1024, 1024, &out), USP_ERROR_MEMORY, "cannot allocate");
    usp_tensor other = large(USP_F32, SHAPE(1 << 20, 1024));
    EXPECT_STATUS(usp_position_rope(1024, 1024, &out, &other), USP_ERROR_MEMORY, "cannot allocate");
    usp_tensor table = large(USP_F32, SHAPE(1 << 16, 4)), wide = large(USP_F32, SHAPE(1 << 16, 4));
    EXPECT_STATUS(usp_position_resize(&table, 1 << 16, 1, 1, 1 << 16, 0, &wide), USP_ERROR_MEMORY,
                  "cannot allocate");
    table = large(USP_F32, SHAPE(1 << 20, 1024));
    EXPECT_STATUS(usp_position_resize(&table, 1024, 1024, 1024, 1024, 0, &table), USP_ERROR_MEMORY,
                  "cannot allocate");
}

static void evaluations(void) {
    double value = 0, other = 0;
    usp_tensor features = large(USP_F32, SHAPE(2, 16384));
    for (int i = 0; i < 2 * 16384; i++) ((float *)features.data)[i] = (float)(i % 7);
    EXPECT_STATUS(usp_evaluate_frechet(&features, &features, &value), USP_ERROR_MEMORY, "a: ");
    usp_tensor mean = large(USP_F64, SHAPE(16384)), spread = large(USP_F64, SHAPE(16384, 16384));
    EXPECT_STATUS(usp_evaluate_frechet_statistics(&mean, &spread, &mean, &spread, &value),
                  USP_ERROR_MEMORY, "cannot allocate");
    usp_tensor rows = large(USP_F32, SHAPE(30000, 1));
    EXPECT_STATUS(usp_evaluate_precision_recall(&rows, &rows, 29999, &value, &other),
                  USP_ERROR_MEMORY, "cannot allocate");
    usp_tensor map = large(USP_I32, SHAPE(1 << 28));
    EXPECT_STATUS(usp_evaluate_mean_iou(&map, &map, 3, 255, &value), USP_ERROR_MEMORY,
                  "cannot allocate");
}

static void noise(void) {
    usp_tensor out = large(USP_F32, SHAPE(1 << 28));
    EXPECT_STATUS(usp_random_normal(1, &out), USP_ERROR_MEMORY, "cannot allocate");
    EXPECT_STATUS(usp_random_torch("cpu", 1, &out), USP_ERROR_MEMORY, "cannot allocate");
    EXPECT_STATUS(usp_random_torch("cuda", 1, &out), USP_ERROR_MEMORY, "cannot allocate");
}

static void models(void) {
    usp_model *model = NULL;
    EXPECT_STATUS(usp_model_create("DiT", "grid=4096", 1, &model), USP_ERROR_MEMORY,
                  "cannot allocate");
    EXPECT_STATUS(usp_model_create("ViT", "classes=65536 width=4096 heads=64", 1, &model),
                  USP_ERROR_MEMORY, "cannot allocate");
    EXPECT_OK(usp_model_create(
        "MAE",
        "grid=2 width=16 depth=1 heads=2 decoder_width=16 decoder_depth=1 decoder_heads=2", 1,
        &model));
    usp_tensor images = large(USP_F32, SHAPE(1 << 21, 4, 4, 4));
    float loss = 0;
    EXPECT_STATUS(usp_mae_forward(model, &images, NULL, &loss, NULL, NULL), USP_ERROR_MEMORY,
                  "cannot allocate");
    usp_model_free(model);
}

/* A header that would become far more than its 16 MiB. */
static void files(void) {
    const char *path = "/tmp/usp-abi-memory.safetensors";
    FILE *file = fopen(path, "wb");
    uint64_t length = 16 << 20;
    EXPECT(file && fwrite(&length, 8, 1, file) == 1 && fputs("{\"x\":[1", file) >= 0);
    for (uint64_t at = 7; file && at < length - 3; at += 2) fputs(",1", file);
    EXPECT(file && fputs("]} ", file) >= 0 && fclose(file) == 0);
    usp_checkpoint *checkpoint = NULL;
    EXPECT_STATUS(usp_checkpoint_open(path, NULL, &checkpoint), USP_ERROR_MEMORY, path);
    remove(path);
}

int main(void) {
    /* Of private pages: enough for the library, not for any of the above. */
    struct rlimit limit = {256 << 20, 256 << 20};
    EXPECT(setrlimit(RLIMIT_DATA, &limit) == 0);
    EXPECT_OK(usp_set_threads(1));
    positions();
    evaluations();
    noise();
    models();
    files();
    printf("memory: %d checks, %d failed\n", checks, failures);
    return failures != 0;
}

/* trainer: steps, cancel from another thread's place, failing all-reduce, two threads at once. */
#include "check.h"

#include <math.h>
#include <unistd.h>

#define STATE "/tmp/usp-abi-trainer.safetensors"
#define DAMAGED "/tmp/usp-abi-damaged.safetensors"

static int32_t failing(float *data, size_t count, void *user) {
    (void)data;
    *(size_t *)user = count;
    return 3;
}

/* Numbers that no training means are errors when the trainer is made. */
static void check_ranges(const usp_model *vit) {
    usp_trainer_options ranges[8];
    const char *names[8] = {"beta1", "beta2", "drop_path", "label_smoothing", "weight_decay",
                            "clip_norm", "layer_decay", "mask_ratio"};
    for (int i = 0; i < 8; i++) ranges[i] = (usp_trainer_options)USP_TRAINER_OPTIONS_INIT;
    ranges[0].beta1 = 1;
    ranges[1].beta2 = -0.5f;
    ranges[2].drop_path = 1;
    ranges[3].label_smoothing = 1.5f;
    ranges[4].weight_decay = -0.1f;
    ranges[5].clip_norm = -1;
    ranges[6].layer_decay = -1;
    ranges[7].mask_ratio = 1;
    usp_trainer *trainer = NULL;
    for (int i = 0; i < 8; i++)
        EXPECT_STATUS(usp_trainer_create(vit, &ranges[i], &trainer), USP_ERROR_ARGUMENT, names[i]);

    usp_model *headless = NULL;
    usp_trainer_options options = USP_TRAINER_OPTIONS_INIT;
    options.head_only = 1;
    EXPECT_OK(usp_model_create("ViT", "depth=1 head=none", 1, &headless));
    EXPECT_STATUS(usp_trainer_create(headless, &options, &trainer), USP_ERROR_ARGUMENT, "no head");
    usp_model_free(headless);
}

/* An all-reduce that cancels its own trainer: the step under way ends, parameters stay. */
static int32_t cancelling(float *data, size_t count, void *user) {
    (void)data, (void)count;
    usp_trainer_cancel(*(usp_trainer **)user);
    return 0;
}

/* Collectives of a host with one rank; user counts the calls, and fails them from -1 on. */
static int32_t scatter(const float *data, float *sums, size_t count, void *user) {
    memcpy(sums, data, count * sizeof *sums);
    return ++*(int *)user <= 0;
}
static int32_t gather(const void *data, void *all, size_t size, void *user) {
    memcpy(all, data, size);
    return ++*(int *)user <= 0;
}
static int32_t broadcast(void *data, size_t size, int32_t root, void *user) {
    (void)data, (void)size, (void)root;
    return ++*(int *)user <= 0;
}
static int32_t barrier(void *user) { return ++*(int *)user <= 0; }

/* One rank with functions cuts its batch as one process that is told how often. */
static void functions_of_the_host(const usp_model *vit, const usp_batch *batch) {
    int calls = 0;
    usp_ranks *ranks = NULL;
    usp_trainer *alone = NULL, *ranked = NULL;
    float first = 0, second = 1;
    usp_trainer_options options = USP_TRAINER_OPTIONS_INIT;
    EXPECT_STATUS(
        usp_ranks_from_functions(0, 1, scatter, NULL, broadcast, barrier, &calls, &ranks),
        USP_ERROR_ARGUMENT, "all_gather: is NULL");
    EXPECT_STATUS(
        usp_ranks_from_functions(1, 1, scatter, gather, broadcast, barrier, &calls, &ranks),
        USP_ERROR_ARGUMENT, "expected 0 to 0");
    EXPECT_OK(usp_ranks_from_functions(0, 1, scatter, gather, broadcast, barrier, &calls, &ranks));
    EXPECT(usp_ranks_rank(ranks) == 0 && usp_ranks_count(ranks) == 1 && usp_ranks_count(NULL) == 0);
    options.parts = 1;
    EXPECT_OK(usp_trainer_create(vit, &options, &alone));
    options.ranks = ranks;
    options.shard = 1;
    options.overlap = 0;
    EXPECT_OK(usp_trainer_create(vit, &options, &ranked));
    EXPECT_OK(usp_trainer_step(alone, batch, &first));
    EXPECT_OK(usp_trainer_step(ranked, batch, &second));
    EXPECT(calls > 0 && first == second);
    calls = -100;
    EXPECT_STATUS(usp_trainer_step(ranked, batch, NULL), USP_ERROR_CALLBACK, "all_gather");
    EXPECT(usp_trainer_steps(ranked) == 1);
    usp_trainer_free(ranked);
    options.parts = 2;
    EXPECT_OK(usp_trainer_create(vit, &options, &ranked));
    EXPECT_STATUS(usp_trainer_step(ranked, batch, NULL), USP_ERROR_ARGUMENT, "a power of two");
    usp_trainer_free(ranked);
    usp_trainer_free(alone);
    usp_ranks_free(ranks);
}

/* What a classifier has no use for, and what is not as it says. */
static void check_parts(usp_trainer *trainer, usp_batch given) {
    float values[3 * 2 * 2] = {0};
    uint8_t classes[3 * 2 * 2] = {0};
    usp_tensor some = tensor(values, USP_F32, SHAPE(3, 2, 2)),
               few = tensor(values, USP_F32, SHAPE(2, 2, 2)),
               map = tensor(classes, USP_U8, SHAPE(3, 2, 2));
    usp_batch batch = given;
    batch.target = &some;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, NULL), USP_ERROR_ARGUMENT, "target: has no");
    batch.target = &few;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, NULL), USP_ERROR_SHAPE, "target: shape");
    batch = given;
    batch.labels = &map;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, NULL), USP_ERROR_ARGUMENT, "labels as maps");
    batch = given;
    batch.features = &some;
    batch.feature_count = 1;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, NULL), USP_ERROR_ARGUMENT, "features: has no");
    batch.features = NULL;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, NULL), USP_ERROR_ARGUMENT, "1 at NULL");
}

/* A state that does not fit changes nothing, whichever of its parts it is. */
static void check_restore(usp_trainer *trainer, const usp_batch *batch) {
    usp_checkpoint *state = NULL, *damaged = NULL;
    usp_tensor parts[5];
    const char *names[5] = {"parameters", "first", "second", "counts", "average"};
    EXPECT_OK(usp_trainer_save(trainer, STATE));
    EXPECT_OK(usp_checkpoint_open(STATE, NULL, &state));
    for (int i = 0; i < 5; i++) EXPECT_OK(usp_checkpoint_tensor(state, names[i], &parts[i]));
    int64_t counts[2] = {-4, 2};
    float loss = 0, again = 0;
    EXPECT_OK(usp_trainer_step(trainer, batch, &loss));
    EXPECT_OK(usp_trainer_restore(trainer, STATE));
    EXPECT_OK(usp_trainer_step(trainer, batch, &again));
    EXPECT(loss == again);
    EXPECT_OK(usp_trainer_restore(trainer, STATE));
    float *zeros = calloc((size_t)parts[0].shape[0], sizeof *zeros);
    parts[0].data = zeros;
    EXPECT_OK(usp_checkpoint_create(names, parts, 4, &damaged));
    EXPECT_OK(usp_checkpoint_save(damaged, DAMAGED, NULL));
    EXPECT_STATUS(usp_trainer_restore(trainer, DAMAGED), USP_ERROR_MISSING_WEIGHT, "average");
    usp_checkpoint_free(damaged);
    parts[3].data = counts;
    EXPECT_OK(usp_checkpoint_create(names, parts, 5, &damaged));
    EXPECT_OK(usp_checkpoint_save(damaged, DAMAGED, NULL));
    EXPECT_STATUS(usp_trainer_restore(trainer, DAMAGED), USP_ERROR_FORMAT, "-4 steps");
    EXPECT_OK(usp_trainer_step(trainer, batch, &again));
    EXPECT(loss == again);
    usp_checkpoint_free(damaged);
    usp_checkpoint_free(state);
    free(zeros);
    unlink(STATE);
    unlink(DAMAGED);
}

void test_trainer(void) {
    usp_model *vit = NULL, *after = NULL;
    EXPECT_OK(usp_model_create(
        "ViT", "grid=2 width=16 depth=1 heads=2 classes=3 pool=avg", 1, &vit));

    usp_trainer_options options = USP_TRAINER_OPTIONS_INIT;
    usp_trainer *trainer = NULL;
    options.rate = 0.01f;
    options.average_decay = 0.9f;
    options.optimizer = "sgd";
    EXPECT_STATUS(usp_trainer_create(vit, &options, &trainer), USP_ERROR_ARGUMENT, "adamw, lars");
    options.optimizer = NULL;
    options.average_decay = 2;
    EXPECT_STATUS(usp_trainer_create(vit, &options, &trainer), USP_ERROR_ARGUMENT, "average");
    options.average_decay = 0.9f;
    check_ranges(vit);
    options.recompute = "all";
    EXPECT_STATUS(usp_trainer_create(vit, &options, &trainer), USP_ERROR_ARGUMENT,
                  "nothing, hidden, blocks");
    options.recompute = "hidden";
    options.exact = 1;
    EXPECT_OK(usp_trainer_create(vit, &options, &trainer));

    float images[3 * 4 * 4 * 4], first = 0, last = 0;
    int64_t classes[3] = {0, 1, 2};
    usp_tensor x = tensor(images, USP_F32, SHAPE(3, 4, 4, 4)),
               y = tensor(classes, USP_I64, SHAPE(3));
    EXPECT_OK(usp_random_normal(1, &x));
    usp_batch batch = USP_BATCH_INIT;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, &first), USP_ERROR_ARGUMENT, "inputs: is NULL");
    batch.inputs = &x;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, &first), USP_ERROR_ARGUMENT, "labels");
    EXPECT_STATUS(usp_trainer_step(trainer, NULL, &first), USP_ERROR_ARGUMENT, "batch: is NULL");
    batch.labels = &y;
    check_parts(trainer, batch);
    usp_checkpoint *gradients = NULL;
    usp_tensor gradient;
    EXPECT_STATUS(usp_trainer_gradients(trainer, &batch, NULL, NULL),
                  USP_ERROR_ARGUMENT, "out_gradients: is NULL");
    EXPECT_OK(usp_trainer_gradients(trainer, &batch, &last, &gradients));
    EXPECT_OK(usp_checkpoint_tensor(gradients, "head.weight", &gradient));
    EXPECT(gradient.shape[0] == 3 && gradient.shape[1] == 16 && usp_trainer_steps(trainer) == 0);
    usp_checkpoint_free(gradients);
    EXPECT(usp_trainer_rate(trainer) == 0.01f);
    EXPECT_OK(usp_trainer_set_rate(trainer, 0.5));
    EXPECT(usp_trainer_rate(trainer) == 0.5f);
    EXPECT_OK(usp_trainer_set_rate(trainer, NAN));
    EXPECT_OK(usp_trainer_step(trainer, &batch, &first));
    EXPECT(first == last);
    for (int i = 0; i < 20; i++) EXPECT_OK(usp_trainer_step(trainer, &batch, &last));
    EXPECT(last < first && usp_trainer_steps(trainer) == 21);
    EXPECT(usp_trainer_rate(trainer) == 0.01f);
    classes[0] = 9;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, NULL), USP_ERROR_ARGUMENT, "9");
    classes[0] = 0;
    images[5] = NAN;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, NULL), USP_ERROR_NOT_FINITE,
                  "training step 22: the loss is nan");
    EXPECT_OK(usp_random_normal(1, &x));
    check_restore(trainer, &batch);

    usp_trainer_cancel(trainer);
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, NULL), USP_ERROR_CANCELLED,
                  "cancelled");
    EXPECT(usp_trainer_steps(trainer) == 22);
    EXPECT_OK(usp_trainer_model(trainer, 1, &after));
    usp_trainer_free(trainer);
    EXPECT(usp_trainer_steps(trainer) == 0);
    usp_trainer_cancel(trainer);
    EXPECT(usp_model_size(after) == usp_model_size(vit));
    usp_model_free(after);

    size_t count = 0;
    usp_ranks *ranks = NULL;
    functions_of_the_host(vit, &batch);
    EXPECT_STATUS(usp_ranks_create(0, 2, NULL, NULL, &ranks), USP_ERROR_ARGUMENT, "allreduce");
    EXPECT_STATUS(usp_ranks_create(0, 0, failing, NULL, &ranks), USP_ERROR_ARGUMENT, "ranks: 0");
    EXPECT_STATUS(usp_ranks_create(2, 2, failing, NULL, &ranks), USP_ERROR_ARGUMENT, "0 to 1");
    EXPECT_OK(usp_ranks_create(0, 2, failing, &count, &ranks));
    options.ranks = ranks;
    EXPECT_OK(usp_trainer_create(vit, &options, &trainer));
    usp_ranks_free(ranks);
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, NULL), USP_ERROR_CALLBACK, "returned 3");
    EXPECT(count >= (size_t)usp_model_size(vit) && usp_trainer_steps(trainer) == 0);
    EXPECT_STATUS(usp_trainer_create(vit, &options, &trainer), USP_ERROR_ARGUMENT, "ranks: is not");
    usp_trainer_free(trainer);
    EXPECT_OK(usp_ranks_create(1, 2, cancelling, &trainer, &ranks));
    options.ranks = ranks;
    EXPECT_OK(usp_trainer_create(vit, &options, &trainer));
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, NULL), USP_ERROR_CANCELLED, "step 1");
    EXPECT(usp_trainer_steps(trainer) == 0);
    unlink(STATE);
    EXPECT_OK(usp_trainer_save(trainer, STATE)); /* rank 1 leaves the files to rank 0 */
    EXPECT(access(STATE, F_OK) != 0);
    usp_ranks_free(ranks);
    usp_model_free(vit);
    usp_trainer_free(trainer);
}

/* data and run: batches of a file of latents, a run that is stopped, goes on, measures and refuses. */
#include "check.h"

#include <unistd.h>

#define LATENTS "/tmp/usp-abi-latents.safetensors"
#define MODEL "/tmp/usp-abi-run.safetensors"
#define WHOLE "/tmp/usp-abi-whole.safetensors"

enum { SAMPLES = 10, VALUES = 4 * 4 * 4 };

static const char *const parts[3] = {MODEL, "/tmp/usp-abi-run-state.safetensors",
                                     "/tmp/usp-abi-run-log.jsonl"};

static void remove_run(void) {
    for (int i = 0; i < 3; i++) unlink(parts[i]);
    unlink("/tmp/usp-abi-whole-state.safetensors");
    unlink("/tmp/usp-abi-whole-log.jsonl");
}

/* What a batch holds, and what is not one. */
static void check_data(void) {
    usp_data_options options = USP_DATA_OPTIONS_INIT;
    usp_data *data = NULL;
    EXPECT_STATUS(usp_data_open("/tmp/no/such", NULL, NULL, &data), USP_ERROR_IO, "/tmp/no/such");
    options.size = 64; /* latents were cut before */
    EXPECT_STATUS(usp_data_open(LATENTS, NULL, &options, &data), USP_ERROR_ARGUMENT, "size");
    options = (usp_data_options)USP_DATA_OPTIONS_INIT;
    options.batch = 4;
    options.order = "sequential";
    EXPECT_OK(usp_data_open(LATENTS, NULL, &options, &data));
    EXPECT(usp_data_count(data) == SAMPLES && usp_data_classes(data) == 2);
    EXPECT(usp_data_steps_per_epoch(data) == 2 && usp_data_batch_size(data) == 4);
    EXPECT(usp_data_class_name(data, 99) == NULL);
    usp_tensor sample;
    EXPECT_OK(usp_data_sample(data, &sample));
    EXPECT(sample.rank == 3 && sample.shape[0] == 4 && sample.shape[2] == 4 && !sample.data);

    static float inputs[4 * VALUES], again[4 * VALUES];
    int64_t classes[4];
    usp_tensor x = tensor(inputs, USP_F32, SHAPE(4, 4, 4, 4)), y = tensor(classes, USP_I64, SHAPE(4)),
               few = tensor(inputs, USP_F32, SHAPE(3, 4, 4, 4)),
               z = tensor(again, USP_F32, SHAPE(4, 4, 4, 4));
    EXPECT_OK(usp_data_batch(data, 1, &x, &y));
    EXPECT(classes[0] == 0 && classes[1] == 1);
    EXPECT_OK(usp_data_samples(data, 4, &z, NULL));
    EXPECT(memcmp(inputs, again, sizeof again) == 0);
    EXPECT_STATUS(usp_data_batch(data, 0, &few, NULL), USP_ERROR_SHAPE, "[4, 4, 4, 4]");
    EXPECT_STATUS(usp_data_batch(data, -1, &x, NULL), USP_ERROR_ARGUMENT, "-1");
    EXPECT_STATUS(usp_data_samples(data, 8, &x, NULL), USP_ERROR_ARGUMENT, "10");
    EXPECT_STATUS(usp_data_batch(data, 0, NULL, NULL), USP_ERROR_ARGUMENT, "NULL");
    usp_data_free(data);
}

struct story {
    int64_t steps, evaluations, stop_at;
};

static int32_t told(const usp_run_progress *progress, void *user) {
    struct story *story = user;
    story->steps = progress->step;
    return progress->step == story->stop_at;
}

static int32_t measured(usp_run *run, void *user) {
    ((struct story *)user)->evaluations++;
    return usp_run_metric(run, "answer", 42) != USP_OK;
}

static usp_status train(struct story *story, const char *output, double rate, int64_t *resumed) {
    usp_model *model = NULL;
    usp_trainer *trainer = NULL;
    usp_data *data = NULL;
    usp_run *run = NULL;
    usp_trainer_options how = USP_TRAINER_OPTIONS_INIT;
    usp_data_options which = USP_DATA_OPTIONS_INIT;
    usp_run_options options = USP_RUN_OPTIONS_INIT;
    how.rate = rate;
    which.batch = 4;
    options.epochs = 3;
    options.progress = told;
    options.evaluate = measured;
    options.progress_user = options.evaluate_user = story;
    EXPECT_OK(usp_model_create("SiT", "grid=2 width=16 depth=1 heads=2 classes=2", 1, &model));
    EXPECT_OK(usp_trainer_create(model, &how, &trainer));
    EXPECT_OK(usp_data_open(LATENTS, NULL, &which, &data));
    usp_status status = usp_run_create(trainer, data, output, &options, &run);
    if (status == USP_OK) {
        EXPECT(usp_run_steps(run) == 6);
        *resumed = usp_run_resumed(run);
        status = usp_run_train(run);
    }
    usp_run_free(run);
    usp_data_free(data);
    usp_trainer_free(trainer);
    usp_model_free(model);
    return status;
}

static int same_file(const char *first, const char *second) {
    FILE *a = fopen(first, "rb"), *b = fopen(second, "rb");
    int x = -1, y = -1;
    while (a && b && (x = fgetc(a)) == (y = fgetc(b)) && x != EOF) continue;
    if (a) fclose(a);
    if (b) fclose(b);
    return a && b && x == EOF && y == EOF;
}

void test_run(void) {
    struct story story = {0, 0, 3}, whole = {0, 0, -1};
    int64_t resumed = -1;
    remove_run();
    write_latents(LATENTS, SAMPLES, 2, 7);
    check_data();
    EXPECT_STATUS(train(&story, MODEL, 1e-3, &resumed), USP_ERROR_CANCELLED, "");
    EXPECT(resumed == 0 && story.steps == 3 && access(parts[1], R_OK) == 0);
    EXPECT_STATUS(train(&story, MODEL, 2e-3, &resumed), USP_ERROR_ARGUMENT, "rate");
    EXPECT_STATUS(train(&story, "/tmp/no/such/model.safetensors", 1e-3, &resumed), USP_ERROR_IO, "/tmp/no/such");
    story.stop_at = -1;
    EXPECT_OK(train(&story, MODEL, 1e-3, &resumed));
    EXPECT(resumed == 3 && story.steps == 6 && story.evaluations >= 2);
    EXPECT_OK(train(&whole, WHOLE, 1e-3, &resumed));
    EXPECT(resumed == 0 && whole.evaluations == 3);
    EXPECT(same_file(MODEL, WHOLE));
    remove_run();
    unlink(LATENTS);
    unlink(WHOLE);
}

/* mar: passes, samples and a stage of a small model, and everything that they refuse. */
#include "check.h"

enum { BATCH = 2, TOKENS = 4, IMAGE = 4 * 2 * 2, COPIES = 2, ELEMENTS = BATCH * IMAGE };

static const char *const sizes =
    "grid=2 channels=4 patch=1 width=16 depth=1 heads=2 buffer=2 classes=3 head_width=8 head_depth=1";

static float latents[ELEMENTS], result[ELEMENTS];
static usp_tensor x, out;

static void forward(const usp_model *mar) {
    float loss = 0, again = 0, mask[BATCH * TOKENS] = {1, 1, 1, 0, 1, 0, 1, 1};
    float losses[COPIES * BATCH * TOKENS], noise[COPIES * ELEMENTS] = {0};
    int64_t steps[COPIES * BATCH * TOKENS] = {0, 999}, labels[BATCH] = {0, 3};
    usp_tensor hidden = tensor(mask, USP_F32, SHAPE(BATCH, TOKENS));
    usp_tensor t = tensor(steps, USP_I64, SHAPE(COPIES, BATCH, TOKENS));
    usp_tensor e = tensor(noise, USP_F32, SHAPE(COPIES, BATCH, 4, 2, 2));
    usp_tensor each = tensor(losses, USP_F32, SHAPE(COPIES, BATCH, TOKENS));
    usp_tensor y = tensor(labels, USP_I64, SHAPE(BATCH));
    usp_mar_options options = USP_MAR_OPTIONS_INIT;
    options.mask = &hidden;
    options.times = &t;
    options.noise = &e;
    EXPECT_OK(usp_mar_forward(mar, &x, &y, &options, &loss, &each, NULL));
    for (int copy = 0; copy < COPIES; copy++)
        for (int i = 0; i < BATCH * TOKENS; i++)
            again += mask[i] * losses[copy * BATCH * TOKENS + i] / 12;
    EXPECT(loss > 0 && again > 0.999f * loss && again < 1.001f * loss);
    usp_checkpoint *gradients = NULL;
    EXPECT_OK(usp_mar_gradients(mar, &x, &y, &options, &again, &gradients));
    EXPECT(usp_checkpoint_count(gradients) == usp_model_parameter_count(mar));
    usp_checkpoint_free(gradients);

    mask[3] = 1;
    EXPECT_STATUS(usp_mar_forward(mar, &x, &y, &options, &loss, NULL, NULL), USP_ERROR_ARGUMENT,
                  "sample 1 hides 3 tokens, sample 0 4");
    memset(mask, 0, sizeof mask);
    EXPECT_STATUS(usp_mar_forward(mar, &x, &y, &options, &loss, NULL, NULL), USP_ERROR_ARGUMENT,
                  "nothing is hidden");
    EXPECT_STATUS(usp_mar_gradients(mar, &x, &y, &options, &loss, &gradients),
                  USP_ERROR_ARGUMENT, "nothing is hidden");
    options.mask = NULL;
    for (int i = 0; i < 2; i++) {
        steps[5] = i ? 1000 : -1;
        EXPECT_STATUS(usp_mar_forward(mar, &x, &y, &options, &loss, NULL, NULL),
                      USP_ERROR_ARGUMENT, "whole steps 0 to 999");
    }
    options.times = NULL;
    for (int i = 0; i < 2; i++) {
        labels[1] = i ? 4 : -1;
        EXPECT_STATUS(usp_mar_forward(mar, &x, &y, &options, &loss, NULL, NULL),
                      USP_ERROR_ARGUMENT, "of sample 1, expected 0 to 2, or 3 for none");
    }
    options.noise = NULL;
    options.copies = 0;
    EXPECT_STATUS(usp_mar_forward(mar, &x, NULL, &options, &loss, NULL, NULL),
                  USP_ERROR_ARGUMENT, "copies: 0, expected");
    options.copies = 1;
    options.mask_ratio = 1.5;
    EXPECT_STATUS(usp_mar_forward(mar, &x, NULL, &options, &loss, NULL, NULL),
                  USP_ERROR_ARGUMENT, "mask_ratio: 1.5, expected");
}

static int told;

static int32_t tell(const usp_progress *progress, void *user) {
    told++;
    return progress->step == *(const int *)user;
}

static void samples(const usp_model *mar) {
    int64_t labels[BATCH] = {0, 3}, orders[BATCH * TOKENS] = {3, 1, 0, 2, 0, 1, 2, 3};
    usp_tensor y = tensor(labels, USP_I64, SHAPE(BATCH));
    usp_tensor o = tensor(orders, USP_I64, SHAPE(BATCH, TOKENS));
    usp_mar_sample_options options = USP_MAR_SAMPLE_OPTIONS_INIT;
    options.iterations = 3;
    options.respacing = "4,3,1,1";
    options.cfg_scale = 2;
    options.orders = &o;
    int stop = -1;
    options.progress = tell;
    options.progress_user = &stop;
    EXPECT_OK(usp_mar_sample(mar, &y, &options, &out));
    EXPECT(told == 3);
    stop = 2;
    EXPECT_STATUS(usp_mar_sample(mar, &y, &options, &out), USP_ERROR_CANCELLED, "");
    options.progress = NULL;
    for (int i = 0; i < 2; i++) {
        options.iterations = i ? 5 : 0;
        EXPECT_STATUS(usp_mar_sample(mar, &y, &options, &out), USP_ERROR_ARGUMENT, "iterations: ");
    }
    options.iterations = 3;
    for (int i = 0; i < 3; i++) {
        orders[5] = (int64_t[]){0, -1, 4}[i];
        EXPECT_STATUS(usp_mar_sample(mar, &y, &options, &out), USP_ERROR_ARGUMENT,
                      "orders: of sample 1 is no permutation of 0 to 3");
    }
    options.orders = NULL;
    labels[0] = 4;
    EXPECT_STATUS(usp_mar_sample(mar, &y, &options, &out), USP_ERROR_ARGUMENT, "labels: 4");
    options.cfg_schedule = "liner";
    EXPECT_STATUS(usp_mar_sample(mar, NULL, &options, &out), USP_ERROR_ARGUMENT, "linear");
    options.cfg_schedule = "constant";
    options.last_steps = 3;
    EXPECT_STATUS(usp_mar_sample(mar, NULL, &options, &out), USP_ERROR_ARGUMENT, "last_steps: 3");
    options.respacing = "1001";
    options.last_steps = -1;
    EXPECT_STATUS(usp_mar_sample(mar, NULL, &options, &out), USP_ERROR_ARGUMENT, "respacing");
}

/* Training that starts from it goes on with it. */
static void stages(const usp_model *mar) {
    float values[8 * IMAGE];
    int64_t labels[8] = {0, 1, 2, 0, 1, 2, 0, 1};
    static const char *const path = "/tmp/usp-abi-mar-latents.safetensors";
    usp_tensor arrays[2] = {tensor(values, USP_F32, SHAPE(8, 4, 2, 2)),
                            tensor(labels, USP_I64, SHAPE(8))};
    usp_checkpoint *file = NULL;
    usp_data *data = NULL;
    usp_stage *stage = NULL;
    usp_model *trained = NULL;
    EXPECT_OK(usp_random_normal(5, &arrays[0]));
    EXPECT_OK(usp_checkpoint_create((const char *[]){"latents", "labels"}, arrays, 2, &file));
    EXPECT_OK(usp_checkpoint_save(file, path, NULL));
    usp_checkpoint_free(file);
    EXPECT_OK(usp_data_open(path, NULL, NULL, &data));
    EXPECT_OK(usp_stage_create("train", data, NULL, mar, NULL, "batch=4 steps=1 copies=2", &stage));
    EXPECT_OK(usp_stage_model(stage, &trained));
    EXPECT(strcmp(usp_model_family(trained), "MAR") == 0);
    usp_model_free(trained);
    usp_stage_free(stage);
    EXPECT_STATUS(usp_stage_create("train", data, NULL, mar, NULL,
                                   "batch=4 steps=1 attention_dropout=0.1", &stage),
                  USP_ERROR_UNSUPPORTED, "attention_dropout: 0.1");
    EXPECT_STATUS(usp_stage_create("train", data, NULL, mar, NULL, "batch=4 steps=1 path=GVP",
                                   &stage),
                  USP_ERROR_ARGUMENT, "path: has no part in");
    usp_data_free(data);
    remove(path);
}

void test_mar(void) {
    usp_model *mar = NULL;
    x = tensor(latents, USP_F32, SHAPE(BATCH, 4, 2, 2));
    out = tensor(result, USP_F32, SHAPE(BATCH, 4, 2, 2));
    EXPECT_OK(usp_random_normal(1, &x));
    EXPECT_OK(usp_model_create("MAR", sizes, 1, &mar));
    forward(mar);
    samples(mar);
    stages(mar);
    usp_model_free(mar);
}

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
    const char *names[8] = {"beta1", "beta2", "drop path", "label smoothing", "weight decay",
                            "clip norm", "layer decay", "mask ratio"};
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

/* A state that does not fit changes nothing, whichever of its parts it is. */
static void check_restore(usp_trainer *trainer, const usp_tensor *x, const usp_tensor *y) {
    usp_checkpoint *state = NULL, *damaged = NULL;
    usp_tensor parts[5];
    const char *names[5] = {"parameters", "first", "second", "counts", "average"};
    EXPECT_OK(usp_trainer_save(trainer, STATE));
    EXPECT_OK(usp_checkpoint_open(STATE, NULL, &state));
    for (int i = 0; i < 5; i++) EXPECT_OK(usp_checkpoint_tensor(state, names[i], &parts[i]));
    int64_t counts[2] = {-4, 2};
    float loss = 0, again = 0;
    EXPECT_OK(usp_trainer_step(trainer, x, y, NULL, NULL, &loss));
    EXPECT_OK(usp_trainer_restore(trainer, STATE));
    EXPECT_OK(usp_trainer_step(trainer, x, y, NULL, NULL, &again));
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
    EXPECT_OK(usp_trainer_step(trainer, x, y, NULL, NULL, &again));
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
    for (int32_t wrong = -1; wrong <= 3; wrong += 4) {
        options.recompute = wrong;
        EXPECT_STATUS(usp_trainer_create(vit, &options, &trainer), USP_ERROR_ARGUMENT,
                      "expected 0 (nothing), 1 (blocks) or 2 (hidden)");
    }
    options.recompute = USP_RECOMPUTE_HIDDEN;
    options.exact = 1;
    EXPECT_OK(usp_trainer_create(vit, &options, &trainer));

    float images[3 * 4 * 4 * 4], first = 0, last = 0;
    int64_t classes[3] = {0, 1, 2};
    usp_tensor x = tensor(images, USP_F32, SHAPE(3, 4, 4, 4)),
               y = tensor(classes, USP_I64, SHAPE(3));
    EXPECT_OK(usp_random_normal(1, &x));
    EXPECT_STATUS(usp_trainer_step(trainer, &x, NULL, NULL, NULL, &first), USP_ERROR_ARGUMENT,
                  "labels");
    usp_checkpoint *gradients = NULL;
    usp_tensor gradient;
    EXPECT_STATUS(usp_trainer_gradients(trainer, &x, &y, NULL, NULL, NULL, NULL),
                  USP_ERROR_ARGUMENT, "out_gradients: is NULL");
    EXPECT_OK(usp_trainer_gradients(trainer, &x, &y, NULL, NULL, &last, &gradients));
    EXPECT_OK(usp_checkpoint_tensor(gradients, "head.weight", &gradient));
    EXPECT(gradient.shape[0] == 3 && gradient.shape[1] == 16 && usp_trainer_steps(trainer) == 0);
    usp_checkpoint_free(gradients);
    EXPECT_OK(usp_trainer_step(trainer, &x, &y, NULL, NULL, &first));
    EXPECT(first == last);
    for (int i = 0; i < 20; i++) EXPECT_OK(usp_trainer_step(trainer, &x, &y, NULL, NULL, &last));
    EXPECT(last < first && usp_trainer_steps(trainer) == 21);
    EXPECT(usp_trainer_rate(trainer) == 0.01f);
    classes[0] = 9;
    EXPECT_STATUS(usp_trainer_step(trainer, &x, &y, NULL, NULL, NULL), USP_ERROR_ARGUMENT, "9");
    classes[0] = 0;
    images[5] = NAN;
    EXPECT_STATUS(usp_trainer_step(trainer, &x, &y, NULL, NULL, NULL), USP_ERROR_NOT_FINITE,
                  "training step 22: the loss is nan");
    EXPECT_OK(usp_random_normal(1, &x));
    check_restore(trainer, &x, &y);

    usp_trainer_cancel(trainer);
    EXPECT_STATUS(usp_trainer_step(trainer, &x, &y, NULL, NULL, NULL), USP_ERROR_CANCELLED,
                  "cancelled");
    EXPECT(usp_trainer_steps(trainer) == 22);
    EXPECT_OK(usp_trainer_model(trainer, 1, &after));
    usp_trainer_free(trainer);
    EXPECT(usp_trainer_steps(trainer) == 0);
    usp_trainer_cancel(trainer);
    EXPECT(usp_model_size(after) == usp_model_size(vit));
    usp_model_free(after);

    size_t count = 0;
    options.allreduce = failing;
    options.allreduce_user = &count;
    EXPECT_STATUS(usp_trainer_create(vit, &options, &trainer), USP_ERROR_ARGUMENT, "ranks");
    options.world_size = 2;
    EXPECT_OK(usp_trainer_create(vit, &options, &trainer));
    EXPECT_STATUS(usp_trainer_step(trainer, &x, &y, NULL, NULL, NULL), USP_ERROR_CALLBACK,
                  "returned 3");
    EXPECT(count >= (size_t)usp_model_size(vit) && usp_trainer_steps(trainer) == 0);
    usp_trainer_free(trainer);
    options.allreduce = cancelling;
    options.allreduce_user = &trainer;
    EXPECT_OK(usp_trainer_create(vit, &options, &trainer));
    EXPECT_STATUS(usp_trainer_step(trainer, &x, &y, NULL, NULL, NULL), USP_ERROR_CANCELLED,
                  "step 1");
    EXPECT(usp_trainer_steps(trainer) == 0);
    usp_model_free(vit);
    usp_trainer_free(trainer);
}

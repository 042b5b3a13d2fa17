/* trainer: steps, cancel from another thread's place, failing all-reduce, two threads at once. */
#include "check.h"

#include <math.h>

static int32_t failing(float *data, size_t count, void *user) {
    (void)data;
    *(size_t *)user = count;
    return 3;
}

void test_trainer(void) {
    usp_vit_config config = USP_VIT_CONFIG_INIT;
    config.grid_height = config.grid_width = 2;
    config.width = 16;
    config.depth = 1;
    config.heads = 2;
    config.classes = 3;
    config.pool = "avg";
    usp_model *vit = NULL, *after = NULL;
    EXPECT_OK(usp_vit_create(&config, 1, &vit));

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
    EXPECT_OK(usp_trainer_step(trainer, &x, &y, NULL, NULL, &first));
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

    usp_trainer_cancel(trainer);
    EXPECT_STATUS(usp_trainer_step(trainer, &x, &y, NULL, NULL, NULL), USP_ERROR_CANCELLED,
                  "cancelled");
    EXPECT(usp_trainer_steps(trainer) == 21);
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
    usp_model_free(vit);
    usp_trainer_free(trainer);
}

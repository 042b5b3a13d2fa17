/* threads: the pool's size; the last error is each thread's own. */
#include "check.h"

#include <pthread.h>

static void *other_thread(void *result) {
    *(int *)result = usp_last_error()[0] == 0;
    return usp_set_threads(-1) == USP_ERROR_ARGUMENT ? NULL : result;
}

static int64_t most_steps;

static void *reader(void *trainer) {
    int64_t now = 0;
    while (now < 3) {
        now = usp_trainer_steps(trainer);
        if (now < most_steps) return trainer;
        most_steps = now;
        if (usp_trainer_rate(trainer) < 0) return trainer;
    }
    return NULL;
}

/* Counts may be read while another thread is in a step. */
static void steps_beside(void) {
    float data[2 * 4 * 4 * 4] = {0};
    int64_t classes[2] = {0, 2};
    usp_tensor x = tensor(data, USP_F32, SHAPE(2, 4, 4, 4)), y = tensor(classes, USP_I64, SHAPE(2));
    usp_model *vit = NULL;
    usp_trainer *trainer = NULL;
    EXPECT_OK(usp_model_create("ViT", "grid=2x2 width=16 depth=1 heads=1 classes=3", 1, &vit));
    EXPECT_OK(usp_trainer_create(vit, NULL, &trainer));
    pthread_t thread;
    void *result = &thread;
    EXPECT(pthread_create(&thread, NULL, reader, trainer) == 0);
    usp_batch batch = USP_BATCH_INIT;
    batch.inputs = &x;
    batch.labels = &y;
    for (int i = 0; i < 3; i++) EXPECT_OK(usp_trainer_step(trainer, &batch, NULL));
    EXPECT(pthread_join(thread, &result) == 0 && result == NULL && most_steps == 3);
    usp_trainer_free(trainer);
    usp_model_free(vit);
}

void test_threads(void) {
    steps_beside();
    EXPECT_STATUS(usp_set_threads(-7), USP_ERROR_ARGUMENT, "count: is -7");
    int was_empty = 0;
    void *returned = &was_empty;
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, other_thread, &was_empty) == 0);
    EXPECT(pthread_join(thread, &returned) == 0);
    EXPECT(was_empty == 1 && returned == NULL);
    EXPECT(strstr(usp_last_error(), "is -7") != NULL);
    int32_t before = usp_threads();
    EXPECT_OK(usp_set_threads(1));
    EXPECT(usp_threads() == 1);
    EXPECT_OK(usp_set_threads(0));
    EXPECT(usp_threads() >= 1 && before >= 1);
    usp_trim();
}

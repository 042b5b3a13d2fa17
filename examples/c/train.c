/* Train a classifier, one step at a time, with batches of one's own. */
#include "common.h"

enum { BATCH = 16, PIXELS = 8 * 8 };

/* Class 0 is bright on the left, class 1 on the right; seed makes the noise. */
static void make_batch(uint64_t seed, float *pixels, int64_t *classes) {
    usp_tensor noise = images(pixels, BATCH, 1, 8, 8);
    TRY(usp_random_normal(seed, &noise));
    for (int i = 0; i < BATCH * PIXELS; i++) {
        int right = i % 8 >= 4;
        classes[i / PIXELS] = i / PIXELS % 2;
        if (right == i / PIXELS % 2) pixels[i] += 1;
    }
}

int main(void) {
    usp_model *start = NULL, *trained = NULL;
    TRY(usp_model_create("ViT", "grid=4 channels=1 width=32 depth=2 heads=2 classes=2", 1, &start));

    usp_trainer_options options = USP_TRAINER_OPTIONS_INIT;
    options.rate = 1e-2f;
    options.warmup = 5;
    options.weight_decay = 0.05f;
    options.average_decay = 0.9f;
    usp_trainer *trainer = NULL;
    TRY(usp_trainer_create(start, &options, &trainer));

    static float pixels[BATCH * PIXELS], scores[BATCH * 2];
    int64_t classes[BATCH];
    usp_tensor x = images(pixels, BATCH, 1, 8, 8), y = labels(classes, BATCH);
    usp_batch batch = USP_BATCH_INIT;
    batch.inputs = &x;
    batch.labels = &y;
    for (int step = 0; step < 50; step++) {
        float loss;
        make_batch((uint64_t)step, pixels, classes);
        TRY(usp_trainer_step(trainer, &batch, &loss));
        if (step % 10 == 9) printf("step %d: loss %.3f\n", step + 1, loss);
    }

    double accuracy = 0;
    usp_tensor logits = {scores, {BATCH, 2}, {0}, 2, USP_F32};
    make_batch(1000, pixels, classes);
    TRY(usp_trainer_model(trainer, 1, &trained)); /* the moving average */
    TRY(usp_vit_logits(trained, &x, &logits));
    TRY(usp_evaluate_accuracy(&logits, &y, 1, &accuracy));
    printf("%.0f %% of a new batch are right\n", 100 * accuracy);
    TRY(usp_model_save(trained, "classifier.safetensors", NULL));
    usp_trainer_free(trainer);
    usp_model_free(trained);
    usp_model_free(start);
    return accuracy > 0.7 ? 0 : 1;
}

/* Train a network that gives every pixel a class, and measure it as mmsegmentation does. */
#include "common.h"

enum { BATCH = 8, SIDE = 16, PIXELS = SIDE * SIDE, CLASSES = 3 };

/* A bright square (class 1) or frame of one (class 2) somewhere in noise (class 0); the rim of the image has
 * no class. */
static void make_batch(uint64_t seed, float *pixels, uint8_t *classes) {
    usp_tensor noise = images(pixels, BATCH, 1, SIDE, SIDE);
    TRY(usp_random_normal(seed, &noise));
    for (int b = 0; b < BATCH; b++) {
        int kind = 1 + b % 2, top = 1 + (int)((seed * 7 + (uint64_t)b * 3) % 7);
        int left = 1 + (int)((seed * 5 + (uint64_t)b) % 7);
        for (int i = 0; i < PIXELS; i++) {
            int y = i / SIDE, x = i % SIDE, row = y - top, column = x - left;
            int inside = row >= 0 && row < 8 && column >= 0 && column < 8;
            int hole = row >= 2 && row < 6 && column >= 2 && column < 6;
            int is_object = inside && !(kind == 2 && hole);
            pixels[b * PIXELS + i] = 0.3f * pixels[b * PIXELS + i] + (is_object ? 1 : -1);
            classes[b * PIXELS + i] = is_object ? (uint8_t)kind : 0;
            if (y == 0 || y == SIDE - 1 || x == 0 || x == SIDE - 1) classes[b * PIXELS + i] = 255;
        }
    }
}

int main(void) {
    usp_model *start = NULL, *trained = NULL;
    TRY(usp_model_create(
        "Segmenter",
        "grid=8 channels=1 patch=2 width=32 depth=4 heads=2 classes=3 head=upernet head_channels=16 "
        "auxiliary_channels=16", 1, &start));

    usp_trainer_options options = USP_TRAINER_OPTIONS_INIT;
    options.rate = 3e-3f;
    options.schedule = "poly";
    options.steps = 120;
    options.weight_decay = 0.05f;
    usp_trainer *trainer = NULL;
    TRY(usp_trainer_create(start, &options, &trainer));

    static float pixels[BATCH * PIXELS];
    static uint8_t classes[BATCH * PIXELS], predicted[BATCH * PIXELS];
    usp_tensor x = images(pixels, BATCH, 1, SIDE, SIDE);
    usp_tensor y = {classes, {BATCH, SIDE, SIDE}, {0}, 3, USP_U8};
    usp_batch batch = USP_BATCH_INIT;
    batch.inputs = &x;
    batch.labels = &y;
    for (int step = 0; step < 120; step++) {
        float loss;
        make_batch((uint64_t)step, pixels, classes);
        TRY(usp_trainer_step(trainer, &batch, &loss));
        if (step % 40 == 39) printf("step %d: loss %.3f\n", step + 1, loss);
    }

    double mean_iou = 0;
    int64_t counts[CLASSES * CLASSES];
    usp_tensor map = {predicted, {BATCH, SIDE, SIDE}, {0}, 3, USP_U8};
    usp_tensor confusion = {counts, {CLASSES, CLASSES}, {0}, 2, USP_I64};
    make_batch(1000, pixels, classes);
    TRY(usp_trainer_model(trainer, 0, &trained));
    TRY(usp_segmenter_predict(trained, NULL, &x, NULL, &map));
    TRY(usp_evaluate_confusion(&map, &y, CLASSES, 255, &confusion));
    TRY(usp_evaluate_segmentation(&confusion, NULL, &mean_iou, NULL, NULL, NULL));
    printf("mIoU of a new batch: %.1f %%\n", 100 * mean_iou);
    TRY(usp_model_save(trained, "segmenter.safetensors", NULL));

    usp_tensor one = images(pixels, 1, 1, SIDE, SIDE), few = {classes, {1, SIDE, SIDE}, {0}, 3, USP_U8};
    batch.inputs = &one;
    batch.labels = &few;
    if (usp_trainer_step(trainer, &batch, NULL) != USP_OK) printf("%s\n", usp_last_error());
    usp_trainer_free(trainer);
    usp_model_free(trained);
    usp_model_free(start);
    return mean_iou > 0.5 ? 0 : 1;
}

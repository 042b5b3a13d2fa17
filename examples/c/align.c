/* Train a LightningDiT whose tokens are turned towards a frozen encoder's (REPA). */
#include "common.h"

enum { BATCH = 4, GRID = 4, TOKENS = GRID * GRID, WIDTH = 48 };

int main(void) {
    usp_model *teacher = NULL, *start = NULL;
    /* or usp_model_open("dinov2_vitb14_pretrain.pth", NULL, &teacher), of width 768 */
    TRY(usp_model_create(
        "ViT", "grid=4 channels=3 patch=14 width=48 depth=1 heads=3 head=none classes=0", 1, &teacher));
    TRY(usp_model_create(
        "LightningDiT",
        "grid=4 channels=8 width=32 depth=2 heads=2 classes=10 projections=48 projector=64 "
        "encoder_depth=1", 1, &start));

    /* What stands for images, which usp_alignment_prepare makes of bytes, and for their latents. */
    static float pixels[BATCH * 3 * 56 * 56], values[BATCH * 8 * GRID * GRID];
    static float tokens[BATCH * TOKENS * WIDTH];
    int64_t classes[BATCH] = {0, 3, 7, 9};
    usp_tensor shown = images(pixels, BATCH, 3, 56, 56);
    usp_tensor latents = images(values, BATCH, 8, GRID, GRID), y = labels(classes, BATCH);
    usp_tensor features = {tokens, {BATCH, TOKENS, WIDTH}, {0}, 3, USP_F32};
    TRY(usp_random_normal(1, &shown));
    TRY(usp_random_normal(2, &latents));
    TRY(usp_vit_tokens(teacher, &shown, 1, 0, &features)); /* once: they do not change */

    usp_trainer_options options = USP_TRAINER_OPTIONS_INIT;
    options.rate = 1e-3;
    options.align = 0.5;
    options.clip_norm = 1;
    usp_trainer *trainer = NULL;
    TRY(usp_trainer_create(start, &options, &trainer));
    usp_batch batch = USP_BATCH_INIT;
    batch.inputs = &latents;
    batch.labels = &y;
    batch.features = &features;
    batch.feature_count = 1;
    float first = 0, loss = 0;
    for (int step = 0; step < 50; step++) {
        TRY(usp_trainer_step(trainer, &batch, &loss));
        if (step == 0) first = loss;
    }
    printf("loss %.3f, then %.3f\n", first, loss);
    usp_trainer_free(trainer);
    usp_model_free(start);
    usp_model_free(teacher);
    return loss < first ? 0 : 1;
}

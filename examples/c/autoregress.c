/* Draw latents from a masked autoregressive model, a few tokens an iteration. */
#include "common.h"

static int32_t show(const usp_progress *progress, void *user) {
    (void)user;
    printf("iteration %lld of %lld\n", (long long)progress->step, (long long)progress->steps);
    return 0;
}

int main(void) {
    usp_model *mar = NULL;
    /* or usp_model_open("mar_base/checkpoint-last.pth", NULL, &mar) */
    const char *sizes = "grid=4 channels=4 width=32 depth=2 heads=2 buffer=4 classes=10 "
                        "head_width=32 head_depth=1";
    TRY(usp_model_create("MAR", sizes, 1, &mar));

    float latents[2 * 4 * 4 * 4];
    int64_t classes[2] = {3, 7};
    usp_tensor out = images(latents, 2, 4, 4, 4), y = labels(classes, 2);

    usp_mar_sample_options options = USP_MAR_SAMPLE_OPTIONS_INIT;
    options.iterations = 4;
    options.respacing = "5";
    options.cfg_scale = 2;
    options.progress = show;
    TRY(usp_mar_sample(mar, &y, &options, &out));
    printf("the first value of each: %.3f %.3f\n", latents[0], latents[64]);
    usp_model_free(mar);
    return 0;
}

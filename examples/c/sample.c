/* Sample latents from a diffusion transformer, with guidance, progress and a way to stop. */
#include "common.h"

enum { BATCH = 2, SIDE = 8, STEPS = 10 };

/* Non-zero would stop the run. */
static int32_t show(const usp_progress *progress, void *user) {
    (void)user;
    printf("\r%s %lld/%lld", progress->stage, (long long)progress->step, (long long)progress->steps);
    return 0;
}

int main(void) {
    usp_model *dit = NULL;
    /* or usp_model_open("DiT-XL-2-256x256.pt", ...) */
    TRY(usp_model_create("DiT", "grid=4 width=32 depth=2 heads=2 classes=10", 1, &dit));

    usp_diffusion_options process = USP_DIFFUSION_OPTIONS_INIT;
    process.respacing = "10";
    usp_diffusion *diffusion = NULL;
    TRY(usp_diffusion_create(&process, &diffusion));

    static float noise[BATCH * 4 * SIDE * SIDE], latents[BATCH * 4 * SIDE * SIDE];
    int64_t classes[BATCH] = {3, 7};
    usp_tensor z = images(noise, BATCH, 4, SIDE, SIDE), x = images(latents, BATCH, 4, SIDE, SIDE);
    usp_tensor y = labels(classes, BATCH);
    TRY(usp_random_normal(7, &z));

    usp_denoiser denoiser = USP_DENOISER_INIT;
    denoiser.model = dit;
    denoiser.cfg_scale = 4;
    usp_sample_options run = USP_SAMPLE_OPTIONS_INIT;
    run.seed = 7;
    run.progress = show;
    TRY(usp_diffusion_sample(diffusion, &denoiser, &z, &y, &run, &x));
    printf("\nthe first latent is %.4f\n", latents[0]);

    usp_diffusion_free(diffusion);
    usp_model_free(dit);
    return 0;
}

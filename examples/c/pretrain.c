/* Pretrain a masked autoencoder on a folder of images or a file of latents, as `usp pretrain` does:
 * with a log, going on after an interruption.
 *
 *     pretrain [PHOTOS VAE]      without them, on latents of noise, to show the calls */
#include "common.h"

static const char *latents_of_noise(void) {
    static float values[64 * 4 * 8 * 8];
    const char *name = "latents", *path = "noise.safetensors";
    usp_tensor array = images(values, 64, 4, 8, 8);
    usp_checkpoint *file = NULL;
    TRY(usp_random_normal(0, &array));
    TRY(usp_checkpoint_create(&name, &array, 1, &file));
    TRY(usp_checkpoint_save(file, path, NULL));
    usp_checkpoint_free(file);
    return path;
}

static int32_t show(const usp_run_progress *progress, void *user) {
    (void)user;
    if (progress->step % 10 == 0)
        printf("%lld/%lld steps, loss %.4f\n", (long long)progress->step,
               (long long)progress->steps, progress->loss);
    return 0; /* anything else saves and stops */
}

int main(int count, char **arguments) {
    usp_model *vae = NULL, *model = NULL;
    if (count > 2) TRY(usp_model_open(arguments[2], NULL, &vae));

    usp_data_options what = USP_DATA_OPTIONS_INIT;
    what.batch = 16;
    if (count > 2) {
        what.size = 64;
        what.augmentation = "pretraining";
    }
    usp_data *data = NULL;
    TRY(usp_data_open(count > 2 ? arguments[1] : latents_of_noise(), vae, &what, &data));

    TRY(usp_model_create("MAE-B/2", "grid=4 width=64 depth=2 heads=2 decoder_width=32 "
                         "decoder_depth=1 decoder_heads=2", 1, &model));
    usp_trainer_options how = USP_TRAINER_OPTIONS_INIT;
    how.rate = 1e-3;
    how.beta2 = 0.95;
    how.weight_decay = 0.05;
    how.warmup = 4;
    how.steps = 5 * usp_data_steps_per_epoch(data);
    usp_trainer *trainer = NULL;
    TRY(usp_trainer_create(model, &how, &trainer));

    usp_run_options options = USP_RUN_OPTIONS_INIT;
    options.epochs = 5;
    options.restart = 1; /* this is an example: begin anew each time */
    options.progress = show;
    usp_run *run = NULL;
    TRY(usp_run_create(trainer, data, "mae.safetensors", &options, &run));
    TRY(usp_run_train(run));
    printf("mae.safetensors, its log and its state are written\n");

    usp_run_free(run);
    usp_trainer_free(trainer);
    usp_data_free(data);
    usp_model_free(model);
    usp_model_free(vae);
    return 0;
}

/* The main job through C: encode, pretrain, stop and resume, transfer, fine-tune, sample, save; the
 * same to the last bit on one thread and on two. */
#include "check.h"

#include <unistd.h>

#define STATE "/tmp/usp-abi-state.safetensors"
#define WEIGHTS "/tmp/usp-abi-sit.safetensors"

enum { SAMPLES = 4, LATENTS = SAMPLES * 4 * 8 * 8 };

/* Latents of noise pictures, from an untrained autoencoder. */
static void encode(float *latents) {
    static float pixels[SAMPLES * 3 * 16 * 16], back[SAMPLES * 3 * 16 * 16];
    usp_model *vae = NULL;
    EXPECT_OK(usp_model_create("VAE", "base_width=8 groups=4 multipliers=1,1", 1, &vae));
    usp_tensor x = tensor(pixels, USP_F32, SHAPE(SAMPLES, 3, 16, 16));
    usp_tensor z = tensor(latents, USP_F32, SHAPE(SAMPLES, 4, 8, 8));
    usp_tensor y = tensor(back, USP_F32, SHAPE(SAMPLES, 3, 16, 16));
    EXPECT_OK(usp_random_normal(1, &x));
    EXPECT_OK(usp_vae_encode(vae, &x, NULL, &z, NULL));
    EXPECT_OK(usp_vae_decode(vae, &z, NULL, &y));
    usp_model_free(vae);
}

/* Three steps, then two more after a stop, which must be those of going on. */
static usp_model *pretrain(usp_tensor *z) {
    usp_model *mae = NULL, *trained = NULL;
    EXPECT_OK(usp_model_create(
        "MAE",
        "grid=4 width=16 depth=1 heads=2 decoder_width=16 decoder_depth=1 decoder_heads=2", 2,
        &mae));
    char found[1000];
    EXPECT_OK(usp_model_config(mae, found, sizeof found, NULL));
    EXPECT(strstr(found, "grid=4x4 channels=4 ") == found && strstr(found, " decoder_heads=2"));

    usp_trainer_options options = USP_TRAINER_OPTIONS_INIT;
    options.beta2 = 0.95f;
    options.weight_decay = 0.05f;
    options.warmup = 2;
    options.steps = 10;
    options.clip_norm = 1;
    options.average_decay = 0.9f;
    options.accumulation = 2;
    usp_batch batch = USP_BATCH_INIT;
    batch.inputs = z;
    usp_trainer *first = NULL, *second = NULL;
    float loss = 0, again = 0;
    EXPECT_OK(usp_trainer_create(mae, &options, &first));
    for (int i = 0; i < 3; i++) EXPECT_OK(usp_trainer_step(first, &batch, &loss));
    EXPECT_OK(usp_trainer_save(first, STATE));
    EXPECT_OK(usp_trainer_create(mae, &options, &second));
    EXPECT_OK(usp_trainer_restore(second, STATE));
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(usp_trainer_step(first, &batch, &loss));
        EXPECT_OK(usp_trainer_step(second, &batch, &again));
        EXPECT(loss == again && usp_trainer_gradient_norm(first) > 0);
    }
    EXPECT(usp_trainer_steps(second) == 5);
    EXPECT_OK(usp_trainer_model(second, 1, &trained));
    unlink(STATE);
    EXPECT_STATUS(usp_trainer_restore(second, STATE), USP_ERROR_IO, STATE);
    usp_trainer_free(first);
    usp_trainer_free(second);
    usp_model_free(mae);
    return trained;
}

static usp_model *transfer(const usp_model *source, const char *to) {
    usp_checkpoint *weights = NULL, *moved = NULL;
    usp_transfer_plan *plan = NULL;
    usp_model *model = NULL;
    usp_transfer_options options = USP_TRANSFER_OPTIONS_INIT;
    options.classes = 3;
    options.heads = 2;
    EXPECT_OK(usp_model_checkpoint(source, &weights));
    EXPECT_OK(usp_transfer_plan_create(weights, to, &options, &plan));
    EXPECT(usp_transfer_plan_transferred(plan) > 0);
    EXPECT_OK(usp_transfer_plan_apply(plan, &moved));
    usp_model_options loading = USP_MODEL_OPTIONS_INIT;
    loading.family = to;
    loading.heads = 2;
    EXPECT_OK(usp_model_load(moved, &loading, &model));
    EXPECT(strcmp(usp_model_family(model), to) == 0);
    usp_checkpoint_free(weights);
    usp_transfer_plan_free(plan);
    usp_checkpoint_free(moved);
    return model;
}

/* On the same samples, and with the same times and noise where they are given. Guidance wants a null
 * class that was trained: some labels are dropped. */
static usp_model *fine_tune(usp_model *start, const usp_tensor *z, const usp_tensor *labels,
                            const usp_tensor *times, const usp_tensor *noise,
                            double label_dropout) {
    usp_trainer_options options = USP_TRAINER_OPTIONS_INIT;
    options.rate = 1e-3f;
    options.label_dropout = label_dropout;
    usp_batch batch = USP_BATCH_INIT;
    batch.inputs = z;
    batch.labels = labels;
    batch.times = times;
    batch.noise = noise;
    usp_trainer *trainer = NULL;
    usp_model *trained = NULL;
    float first = 0, last = 0;
    EXPECT_OK(usp_trainer_create(start, &options, &trainer));
    EXPECT_OK(usp_trainer_step(trainer, &batch, &first));
    for (int i = 0; i < 20; i++) EXPECT_OK(usp_trainer_step(trainer, &batch, &last));
    EXPECT(last < first);
    EXPECT_OK(usp_trainer_model(trainer, 0, &trained));
    usp_trainer_free(trainer);
    usp_model_free(start);
    return trained;
}

static void tell(float *samples) {
    static float latents[LATENTS], noise[LATENTS], again[LATENTS];
    float scores[SAMPLES * 3], times[SAMPLES] = {0.1f, 0.4f, 0.6f, 0.9f};
    int64_t classes[SAMPLES] = {0, 1, 2, 0};
    usp_tensor z = tensor(latents, USP_F32, SHAPE(SAMPLES, 4, 8, 8));
    usp_tensor y = tensor(classes, USP_I64, SHAPE(SAMPLES));
    usp_tensor t = tensor(times, USP_F32, SHAPE(SAMPLES));
    usp_tensor e = tensor(noise, USP_F32, SHAPE(SAMPLES, 4, 8, 8));
    usp_tensor x = tensor(samples, USP_F32, SHAPE(SAMPLES, 4, 8, 8));
    usp_tensor logits = tensor(scores, USP_F32, SHAPE(SAMPLES, 3));
    encode(latents);
    EXPECT_OK(usp_random_normal(3, &e));
    usp_model *mae = pretrain(&z);
    usp_model *vit = fine_tune(transfer(mae, "ViT"), &z, &y, NULL, NULL, 0);
    usp_model *sit = fine_tune(transfer(mae, "SiT"), &z, &y, &t, &e, 0.1);
    usp_model_free(mae);

    double accuracy = 0;
    EXPECT_OK(usp_vit_logits(vit, &z, &logits));
    EXPECT_OK(usp_evaluate_accuracy(&logits, &y, 1, &accuracy));
    EXPECT(accuracy >= 0 && accuracy <= 1);

    usp_transport *transport = NULL;
    usp_denoiser denoiser = USP_DENOISER_INIT;
    usp_sample_options run = USP_SAMPLE_OPTIONS_INIT;
    denoiser.model = sit;
    denoiser.cfg_scale = 2;
    run.method = "heun";
    run.steps = 4;
    EXPECT_OK(usp_transport_create(NULL, &transport));
    EXPECT_OK(usp_transport_sample_ode(transport, &denoiser, &e, &y, &run, &x));
    EXPECT_OK(usp_model_save(sit, WEIGHTS, NULL));
    usp_model_free(sit);
    EXPECT_OK(usp_model_open(WEIGHTS, NULL, &sit));
    EXPECT(strcmp(usp_model_family(sit), "SiT") == 0);
    denoiser.model = sit;
    x.data = again;
    EXPECT_OK(usp_transport_sample_ode(transport, &denoiser, &e, &y, &run, &x));
    EXPECT(memcmp(samples, again, sizeof again) == 0);
    unlink(WEIGHTS);
    usp_transport_free(transport);
    usp_model_free(sit);
    usp_model_free(vit);
}

void test_story(void) {
    static float one[LATENTS], two[LATENTS];
    EXPECT_OK(usp_set_threads(1));
    tell(one);
    EXPECT_OK(usp_set_threads(2));
    tell(two);
    EXPECT(memcmp(one, two, sizeof one) == 0);
    EXPECT_OK(usp_set_threads(0));
}

/* model, vae, mae, vit, dit, inception: made by name; the wrong family, the wrong sizes, freed handles,
 * any free order; a masked loss of nothing. */
#include "check.h"

#include <math.h>
#include <pthread.h>

#define PATH "/tmp/usp-abi-model.safetensors"

#define TINY_VAE "base_width=8 multipliers=1,1 groups=4"
#define TINY_MAE \
    "grid=2 width=16 depth=1 heads=2 decoder_width=16 decoder_depth=1 decoder_heads=2"

/* Made by name; the configuration that is read back makes the same model. */
static void creation(void) {
    usp_model *model = NULL, *again = NULL;
    char config[1000], other[1000];
    size_t length = 0;
    EXPECT_OK(usp_model_create("SiT-S/2", "depth=1 classes=10 grid=4x6", 1, &model));
    EXPECT_OK(usp_model_config(model, NULL, 0, &length));
    EXPECT(length > 0 && length < sizeof config);
    EXPECT_OK(usp_model_config(model, config, sizeof config, NULL));
    EXPECT(strlen(config) == length && strstr(config, "grid=4x6") && strstr(config, "heads=6"));
    EXPECT_OK(usp_model_create("SiT", config, 1, &again));
    EXPECT_OK(usp_model_config(again, other, sizeof other, NULL));
    EXPECT(strcmp(config, other) == 0 && usp_model_size(again) == usp_model_size(model));
    EXPECT(strcmp(usp_model_family(again), "SiT") == 0);
    usp_model_free(again);
    usp_model_free(model);
    EXPECT_STATUS(usp_model_create("SiT-S/3", NULL, 1, &model), USP_ERROR_ARGUMENT,
                  "did you mean SiT-S/2?");
    EXPECT_STATUS(usp_model_create("SiT", "widht=8", 1, &model), USP_ERROR_ARGUMENT,
                  "did you mean \"width\"?");
    EXPECT_STATUS(usp_model_create("SiT", "width=0", 1, &model), USP_ERROR_ARGUMENT, "1 to 65536");
    EXPECT_STATUS(usp_model_create("SiT", "width=8 width=9", 1, &model), USP_ERROR_ARGUMENT,
                  "said twice");
    EXPECT(usp_preset_count() > 90 && strcmp(usp_preset_name(0), "kl-f8") == 0);
    EXPECT(usp_preset_name(usp_preset_count()) == NULL);
}

static usp_model *tiny_dit(void) {
    usp_model *model = NULL;
    EXPECT_OK(usp_model_create("DiT", "grid=2 width=16 depth=1 heads=2 classes=3", 1, &model));
    return model;
}

/* Products of 8 bits: for transformers, and for inference. */
static void eight_bits(void) {
    usp_model *model = tiny_dit(), *loaded = NULL;
    usp_model_options options = USP_MODEL_OPTIONS_INIT;
    usp_trainer *trainer = NULL;
    EXPECT_OK(usp_model_save(model, PATH, NULL));
    options.compute = "int8";
    EXPECT_OK(usp_model_open(PATH, &options, &loaded));
    EXPECT_STATUS(usp_trainer_create(loaded, NULL, &trainer), USP_ERROR_UNSUPPORTED,
                  "computes in int8");
    usp_model_free(loaded);
    usp_model_free(model);
    EXPECT_OK(usp_model_create("VAE", TINY_VAE, 1, &model));
    EXPECT_OK(usp_model_save(model, PATH, NULL));
    EXPECT_STATUS(usp_model_open(PATH, &options, &loaded), USP_ERROR_UNSUPPORTED, "VAE has none");
    usp_model_free(model);
    remove(PATH);
}

static void families(void) {
    usp_model *dit = tiny_dit(), *vae = NULL;
    const char *sizes = "base_width=8 multipliers=1,1 groups=3";
    EXPECT_STATUS(usp_model_create("VAE", sizes, 1, &vae), USP_ERROR_ARGUMENT, "groups");
    EXPECT_OK(usp_model_create("VAE", TINY_VAE, 1, &vae));
    EXPECT(strcmp(usp_model_family(vae), "VAE") == 0 && strcmp(usp_model_family(dit), "DiT") == 0);
    EXPECT(usp_dit_out_channels(dit) == 8 && usp_dit_out_channels(vae) == 0);
    EXPECT(strstr(usp_last_error(), "is a VAE, expected a DiT") != NULL);

    float images[3 * 4 * 4] = {0}, latents[4 * 2 * 2], back[3 * 4 * 4];
    usp_tensor x = tensor(images, USP_F32, SHAPE(1, 3, 4, 4));
    usp_tensor z = tensor(latents, USP_F32, SHAPE(1, 4, 2, 2));
    usp_tensor y = tensor(back, USP_F32, SHAPE(1, 3, 4, 4));
    EXPECT_OK(usp_vae_encode(vae, &x, NULL, &z, NULL));
    EXPECT_OK(usp_vae_decode(vae, &z, NULL, &y));
    EXPECT_STATUS(usp_vae_encode(dit, &x, NULL, &z, NULL), USP_ERROR_ARGUMENT, "is a DiT");
    EXPECT_STATUS(usp_vae_encode(vae, &z, NULL, &z, NULL), USP_ERROR_SHAPE, "images: shape");
    x = tensor(images, USP_F32, SHAPE(1, 3, 3, 4));
    EXPECT_STATUS(usp_vae_encode(vae, &x, NULL, &z, NULL), USP_ERROR_SHAPE,
                  "images: shape [1, 3, 3, 4], expected H and W multiples of 2");
    usp_model_free(vae);
    usp_model_free(dit);
    EXPECT(usp_model_size(dit) == 0);
}

static void forward(void) {
    usp_model *dit = tiny_dit();
    float latents[2 * 4 * 4 * 4], prediction[2 * 8 * 4 * 4], times[2] = {0, 999};
    int64_t labels[2] = {0, 4};
    usp_tensor x = tensor(latents, USP_F32, SHAPE(2, 4, 4, 4));
    usp_tensor t = tensor(times, USP_F32, SHAPE(2)), y = tensor(labels, USP_I64, SHAPE(2));
    usp_tensor out = tensor(prediction, USP_F32, SHAPE(2, 8, 4, 4));
    EXPECT_OK(usp_random_normal(1, &x));
    EXPECT_STATUS(usp_dit_forward(dit, &x, &t, &y, &out), USP_ERROR_ARGUMENT, "4");
    labels[1] = 3;
    EXPECT_OK(usp_dit_forward(dit, &x, &t, &y, &out));
    EXPECT_OK(usp_dit_forward(dit, &x, &t, NULL, &out));
    EXPECT_STATUS(usp_dit_forward(dit, &x, NULL, &y, &out), USP_ERROR_ARGUMENT, "t: is NULL");
    EXPECT_STATUS(usp_dit_forward(dit, &x, &t, &y, NULL), USP_ERROR_ARGUMENT, "out: is NULL");
    x.dtype = USP_BF16;
    EXPECT_STATUS(usp_dit_forward(dit, &x, &t, &y, &out), USP_ERROR_DTYPE, "expected f32");
    x.dtype = USP_F32;

    float loss = 0;
    usp_checkpoint *gradients = NULL;
    EXPECT_OK(usp_dit_gradients(dit, &x, &t, &y, &loss, &gradients));
    usp_tensor gradient, parameter;
    EXPECT_OK(usp_checkpoint_tensor(gradients, "blocks.0.attn.qkv.weight", &gradient));
    EXPECT_OK(usp_model_parameter(dit, "blocks.0.attn.qkv.weight", &parameter));
    EXPECT(gradient.shape[0] == 48 && parameter.shape[1] == 16);
    EXPECT_STATUS(usp_model_parameter(dit, "nothing", &parameter), USP_ERROR_MISSING_WEIGHT,
                  "nothing");

    /* A checkpoint over a model's memory outlives the model. */
    usp_checkpoint *weights = NULL;
    EXPECT_OK(usp_model_checkpoint(dit, &weights));
    usp_model_free(dit);
    EXPECT_OK(usp_checkpoint_tensor(weights, "pos_embed", &parameter));
    EXPECT(((float *)parameter.data)[0] == 0);
    EXPECT_OK(usp_checkpoint_save(weights, PATH, NULL));
    usp_model *again = NULL;
    EXPECT_OK(usp_model_open(PATH, NULL, &again));
    EXPECT_OK(usp_dit_forward(again, &x, &t, &y, &out));
    usp_checkpoint_free(weights);
    usp_checkpoint_free(gradients);
    usp_model_free(again);
    remove(PATH);
    EXPECT_STATUS(usp_model_open(PATH, NULL, &again), USP_ERROR_IO, PATH);
}

static void masked(void) {
    usp_model *mae = NULL;
    EXPECT_OK(usp_model_create("MAE", TINY_MAE, 1, &mae));
    float latents[4 * 4 * 4], prediction[4 * 16], tokens[4], loss = 0;
    usp_tensor x = tensor(latents, USP_F32, SHAPE(1, 4, 4, 4));
    usp_tensor pred = tensor(prediction, USP_F32, SHAPE(1, 4, 16));
    usp_tensor mask = tensor(tokens, USP_F32, SHAPE(1, 4));
    usp_mae_options options = USP_MAE_OPTIONS_INIT;
    EXPECT_OK(usp_random_normal(1, &x));
    EXPECT_OK(usp_mae_forward(mae, &x, &options, &loss, &pred, &mask));
    EXPECT(loss > 0 && tokens[0] + tokens[1] + tokens[2] + tokens[3] == 3);

    usp_checkpoint *gradients = NULL;
    options.mask_ratio = 0;
    EXPECT_STATUS(usp_mae_forward(mae, &x, &options, &loss, &pred, &mask), USP_ERROR_ARGUMENT,
                  "0 of 1 x 4 patches are masked");
    EXPECT_STATUS(usp_mae_gradients(mae, &x, &options, NULL, &gradients), USP_ERROR_ARGUMENT,
                  "0 of 1 x 4 patches are masked");
    EXPECT_OK(usp_mae_forward(mae, &x, &options, NULL, &pred, &mask));
    EXPECT(tokens[0] + tokens[1] + tokens[2] + tokens[3] == 0);
    usp_model_free(mae);
}

/* What no model takes, said alike by all families. */
static void refusals(void) {
    usp_model *models[4] = {NULL, NULL, NULL, tiny_dit()}, *again = NULL;
    EXPECT_OK(usp_model_create("VAE", TINY_VAE, 1, &models[0]));
    EXPECT_OK(usp_model_create("MAE", TINY_MAE, 1, &models[1]));
    EXPECT_OK(usp_model_create("ViT", "grid=2 width=16 depth=1 heads=2", 1, &models[2]));
    usp_tensor none = tensor(NULL, USP_F32, SHAPE(0, 4, 4, 4));
    usp_tensor t = tensor(NULL, USP_F32, SHAPE(0));
    usp_tensor images = tensor(NULL, USP_F32, SHAPE(0, 3, 4, 4));
    usp_checkpoint *gradients = NULL;
    const char *empty = "expected at least one sample";
    EXPECT_STATUS(usp_vae_encode(models[0], &images, NULL, &none, NULL), USP_ERROR_SHAPE, empty);
    EXPECT_STATUS(usp_vae_decode(models[0], &none, NULL, &images), USP_ERROR_SHAPE, empty);
    EXPECT_STATUS(usp_mae_forward(models[1], &none, NULL, NULL, NULL, NULL), USP_ERROR_SHAPE,
                  empty);
    EXPECT_STATUS(usp_mae_gradients(models[1], &none, NULL, NULL, &gradients), USP_ERROR_SHAPE,
                  empty);
    EXPECT_STATUS(usp_mae_features(models[1], &none, &none), USP_ERROR_SHAPE, empty);
    EXPECT_STATUS(usp_vit_features(models[2], &none, &none), USP_ERROR_SHAPE, empty);
    EXPECT_STATUS(usp_vit_logits(models[2], &none, &none), USP_ERROR_SHAPE, empty);
    EXPECT_STATUS(usp_dit_forward(models[3], &none, &t, NULL, &none), USP_ERROR_SHAPE, empty);
    EXPECT_STATUS(usp_dit_gradients(models[3], &none, &t, NULL, NULL, &gradients), USP_ERROR_SHAPE,
                  empty);
    EXPECT_STATUS(usp_dit_features(models[3], &none, &t, NULL, 0, &none), USP_ERROR_SHAPE, empty);

    float numbers[64] = {INFINITY}, times[1] = {1};
    usp_tensor x = tensor(numbers, USP_F32, SHAPE(1, 4, 4, 4));
    t = tensor(times, USP_F32, SHAPE(1));
    EXPECT_STATUS(usp_dit_gradients(models[3], &x, &t, NULL, NULL, &gradients),
                  USP_ERROR_NOT_FINITE, "the loss is");
    EXPECT_STATUS(usp_mae_gradients(models[1], &x, NULL, NULL, &gradients), USP_ERROR_NOT_FINITE,
                  "the loss is");

    usp_model_options options[4];
    for (int i = 0; i < 4; i++) options[i] = (usp_model_options)USP_MODEL_OPTIONS_INIT;
    options[0].heads = 2;
    options[1].pool = "avg";
    options[2].decoder_heads = 2;
    options[3].scale = 2;
    const char *names[4] = {"heads: has no part in a VAE", "pool: has no part in an MAE",
                            "decoder_heads: has no part", "scale: has no part in a DiT"};
    for (int i = 0; i < 4; i++) {
        usp_checkpoint *weights = NULL;
        EXPECT_OK(usp_model_checkpoint(models[i], &weights));
        EXPECT_STATUS(usp_model_load(weights, &options[i], &again), USP_ERROR_ARGUMENT, names[i]);
        usp_checkpoint_free(weights);
        usp_model_free(models[i]);
    }
}

static void *run(void *argument) {
    usp_model *dit = argument;
    float latents[64], prediction[128], times[1] = {7};
    usp_tensor x = tensor(latents, USP_F32, SHAPE(1, 4, 4, 4)),
               t = tensor(times, USP_F32, SHAPE(1));
    usp_tensor out = tensor(prediction, USP_F32, SHAPE(1, 8, 4, 4));
    if (usp_random_normal(1, &x) != USP_OK) return NULL;
    for (int i = 0; i < 50; i++)
        if (usp_dit_forward(dit, &x, &t, NULL, &out) != USP_OK) return NULL;
    return argument;
}

static void threads_share(void) {
    usp_model *dit = tiny_dit();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) EXPECT(pthread_create(&threads[i], NULL, run, dit) == 0);
    for (int i = 0; i < 4; i++) {
        void *result = NULL;
        EXPECT(pthread_join(threads[i], &result) == 0 && result == dit);
    }
    usp_model_free(dit);
}

static void inception(void) {
    static float pool[2 * 2048], spatial[2 * 2023], logits[2 * 1008], again[2048];
    uint8_t pixels[2 * 5 * 4 * 3];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 97);
    usp_tensor images = tensor(pixels, USP_U8, SHAPE(2, 5, 4, 3));
    usp_tensor p = tensor(pool, USP_F32, SHAPE(2, 2048));
    usp_tensor s = tensor(spatial, USP_F32, SHAPE(2, 2023));
    usp_tensor l = tensor(logits, USP_F32, SHAPE(2, 1008));
    usp_tensor one = tensor(again, USP_F32, SHAPE(1, 2048));
    usp_model *network = NULL, *dit = tiny_dit();
    EXPECT_OK(usp_model_create("Inception", NULL, 3, &network));
    EXPECT(strcmp(usp_model_family(network), "Inception") == 0);
    usp_tensor taken;
    EXPECT_OK(usp_model_input(network, 2, &taken));
    EXPECT(taken.dtype == USP_U8 && taken.shape[0] == 2 && taken.shape[3] == 3);
    EXPECT_OK(usp_inception_features(network, &images, NULL, &p, &s, &l));
    EXPECT(pool[0] >= 0 && spatial[0] >= 0 && logits[0] != logits[1008]);

    images = tensor(pixels + 60, USP_U8, SHAPE(1, 5, 4, 3));
    EXPECT_OK(usp_inception_features(network, &images, NULL, &one, NULL, NULL));
    EXPECT(memcmp(again, pool + 2048, sizeof again) == 0);
    usp_inception_options options = USP_INCEPTION_OPTIONS_INIT;
    options.preprocessing = "pytorch-fid";
    EXPECT_OK(usp_inception_features(network, &images, &options, &one, NULL, NULL));
    EXPECT(memcmp(again, pool + 2048, sizeof again) != 0);
    options.preprocessing = "torch";
    EXPECT_STATUS(usp_inception_features(network, &images, &options, &one, NULL, NULL),
                  USP_ERROR_ARGUMENT, "unknown preprocessing \"torch\"");

    EXPECT_STATUS(usp_inception_features(dit, &images, NULL, &one, NULL, NULL),
                  USP_ERROR_ARGUMENT, "is a DiT, expected an Inception");
    EXPECT_STATUS(usp_inception_features(network, &images, NULL, &p, NULL, NULL),
                  USP_ERROR_SHAPE, "out_pool");
    images = tensor(pool, USP_F32, SHAPE(1, 5, 4, 3));
    EXPECT_STATUS(usp_inception_features(network, &images, NULL, &one, NULL, NULL),
                  USP_ERROR_DTYPE, "images");
    images = tensor(pixels, USP_U8, SHAPE(0, 5, 4, 3));
    one = tensor(again, USP_F32, SHAPE(0, 2048));
    EXPECT_STATUS(usp_inception_features(network, &images, NULL, &one, NULL, NULL),
                  USP_ERROR_SHAPE, "images");
    usp_model_free(network);
    usp_model_free(dit);
}

void test_model(void) {
    creation();
    eight_bits();
    inception();
    families();
    forward();
    masked();
    refusals();
    threads_share();
}

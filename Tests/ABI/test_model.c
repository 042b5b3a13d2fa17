/* model, vae, mae, vit, dit, inception: the wrong family, the wrong sizes, freed handles, any free
 * order; a masked loss of nothing. */
#include "check.h"

#include <math.h>
#include <pthread.h>

#define PATH "/tmp/usp-abi-model.safetensors"

static usp_model *tiny_dit(void) {
    usp_dit_config config = USP_DIT_CONFIG_INIT;
    usp_model *model = NULL;
    config.grid_height = config.grid_width = 2;
    config.width = 16;
    config.depth = 1;
    config.heads = 2;
    config.classes = 3;
    EXPECT_OK(usp_dit_create(&config, 1, &model));
    return model;
}

static void families(void) {
    usp_model *dit = tiny_dit(), *vae = NULL;
    usp_vae_config sizes = USP_VAE_CONFIG_INIT;
    sizes.base_width = 8;
    sizes.levels = 2;
    sizes.multipliers[0] = sizes.multipliers[1] = 1;
    sizes.groups = 3;
    EXPECT_STATUS(usp_vae_create(&sizes, 1, &vae), USP_ERROR_ARGUMENT, "groups");
    sizes.groups = 4;
    EXPECT_OK(usp_vae_create(&sizes, 1, &vae));
    EXPECT(strcmp(usp_model_family(vae), "VAE") == 0 && strcmp(usp_model_family(dit), "DiT") == 0);
    EXPECT(usp_dit_out_channels(dit) == 8 && usp_dit_out_channels(vae) == 0);
    EXPECT(strstr(usp_last_error(), "is a VAE, expected a DiT") != NULL);

    usp_vae_config found = USP_VAE_CONFIG_INIT;
    EXPECT_OK(usp_vae_describe(vae, &found));
    EXPECT(found.struct_size == sizeof found && found.levels == 2 && found.latent_channels == 4);
    found.struct_size = 0;
    EXPECT_STATUS(usp_vae_describe(vae, &found), USP_ERROR_ARGUMENT, "struct_size");
    /* A caller of an older version, whose struct ends before the last field that is known. */
    memset(&found, 0x55, sizeof found);
    found.struct_size = offsetof(usp_vae_config, levels);
    EXPECT_OK(usp_vae_describe(vae, &found));
    EXPECT(found.base_width == 8 && found.levels == 0x55555555);
    EXPECT(found.struct_size == offsetof(usp_vae_config, levels));

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
    usp_mae_config config = USP_MAE_CONFIG_INIT;
    config.grid_height = config.grid_width = 2;
    config.width = config.decoder_width = 16;
    config.depth = config.decoder_depth = 1;
    config.heads = config.decoder_heads = 2;
    usp_model *mae = NULL;
    EXPECT_OK(usp_mae_create(&config, 1, &mae));
    float latents[4 * 4 * 4], prediction[4 * 16], tokens[4], loss = 0;
    usp_tensor x = tensor(latents, USP_F32, SHAPE(1, 4, 4, 4));
    usp_tensor pred = tensor(prediction, USP_F32, SHAPE(1, 4, 16));
    usp_tensor mask = tensor(tokens, USP_F32, SHAPE(1, 4));
    usp_mae_options options = USP_MAE_OPTIONS_INIT;
    EXPECT_OK(usp_random_normal(1, &x));
    EXPECT_OK(usp_mae_forward(mae, &x, &options, &loss, &pred, &mask));
    EXPECT(loss > 0 && tokens[0] + tokens[1] + tokens[2] + tokens[3] == 3);

    usp_checkpoint *gradients = NULL;
    options.keep_all = 1;
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
    usp_vae_config vae = USP_VAE_CONFIG_INIT;
    vae.base_width = 8;
    vae.levels = 2;
    vae.multipliers[0] = vae.multipliers[1] = 1;
    vae.groups = 4;
    usp_mae_config mae = USP_MAE_CONFIG_INIT;
    mae.grid_height = mae.grid_width = 2;
    mae.width = mae.decoder_width = 16;
    mae.depth = mae.decoder_depth = 1;
    mae.heads = mae.decoder_heads = 2;
    usp_vit_config vit = USP_VIT_CONFIG_INIT;
    vit.grid_height = vit.grid_width = 2;
    vit.width = 16;
    vit.depth = 1;
    vit.heads = 2;
    usp_model *models[4] = {NULL, NULL, NULL, tiny_dit()}, *again = NULL;
    EXPECT_OK(usp_vae_create(&vae, 1, &models[0]));
    EXPECT_OK(usp_mae_create(&mae, 1, &models[1]));
    EXPECT_OK(usp_vit_create(&vit, 1, &models[2]));
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
    const char *names[4] = {"heads: has no part in a VAE", "pool: has no part in a MAE",
                            "decoder heads: has no part", "scale: has no part in a DiT"};
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
    EXPECT_OK(usp_inception_create(3, &network));
    EXPECT(strcmp(usp_model_family(network), "Inception") == 0);
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
    inception();
    families();
    forward();
    masked();
    refusals();
    threads_share();
}

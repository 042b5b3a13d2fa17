/* robustness, probes of diffusion transformers, tokens and attention: what they give and refuse. */
#include "check.h"

#define LATENTS "c_understand_latents.npz"
#define SIZES "grid=2 channels=4 patch=2 width=16 depth=2 heads=2 classes=3"

static usp_data *data;

static int32_t stop(const usp_progress *progress, void *user) {
    (void)user;
    return progress->step > 0;
}

static void robustness(void) {
    usp_model *vit = NULL, *sit = NULL;
    EXPECT_OK(usp_model_create("ViT", SIZES, 1, &vit));
    EXPECT_OK(usp_model_create("SiT", "grid=2 width=16 depth=2 heads=2 classes=3", 1, &sit));
    const usp_model *models[2] = {vit, vit};
    const char *names[2] = {"one", "two"};
    usp_measurement *found = NULL;
    usp_robustness_options options = USP_ROBUSTNESS_OPTIONS_INIT;
    options.steps = "none";
    options.shares = "0.5";
    EXPECT_OK(usp_robustness(models, names, 2, data, NULL, &options, &found));
    EXPECT(strstr(usp_measurement_json(found), "\"share\"") != NULL);
    EXPECT(strstr(usp_measurement_table(found), "two") != NULL);
    EXPECT(strcmp(usp_measurement_picture_name(found, 0), "linear") == 0);
    EXPECT(strstr(usp_measurement_picture(found, 0), "<svg") != NULL);
    EXPECT(usp_measurement_picture(found, 1) == NULL);
    usp_measurement_free(found);
    EXPECT(usp_measurement_json(found) == NULL);
    usp_measurement_free(NULL);
    names[1] = "one";
    EXPECT_STATUS(usp_robustness(models, names, 2, data, NULL, &options, &found),
                  USP_ERROR_ARGUMENT, "two have the same name");
    EXPECT_STATUS(usp_robustness(NULL, names, 2, data, NULL, &options, &found), USP_ERROR_ARGUMENT,
                  "expected one model or more");
    models[0] = sit;
    EXPECT_STATUS(usp_robustness(models, names, 1, data, NULL, &options, &found),
                  USP_ERROR_ARGUMENT, "models[0]: is a SiT");
    models[0] = vit;
    options.progress = stop;
    EXPECT_STATUS(usp_robustness(models, names, 1, data, NULL, &options, &found),
                  USP_ERROR_CANCELLED, "progress");
    usp_probe_options probe = USP_PROBE_OPTIONS_INIT;
    probe.times = "1,0.5";
    probe.steps = 3;
    probe.rate = 1;
    probe.final_epochs = 0;
    EXPECT_OK(usp_probe_diffusion(sit, data, data, &probe, &found));
    EXPECT(strstr(usp_measurement_json(found), "\"best\"") != NULL);
    EXPECT(strcmp(usp_measurement_picture_name(found, 0), "map") == 0);
    usp_measurement_free(found);
    probe.blocks = "3";
    EXPECT_STATUS(usp_probe_diffusion(sit, data, NULL, &probe, &found), USP_ERROR_ARGUMENT,
                  "blocks: 3, the model has 2");
    usp_model_free(vit);
    usp_model_free(sit);
}

static void layers(void) {
    usp_model *vit = NULL;
    EXPECT_OK(usp_model_create("ViT", SIZES, 1, &vit));
    static float x[2 * 4 * 4 * 4], one[2 * 4 * 16], two[2 * 4 * 16], maps[2 * 2 * 5 * 5];
    usp_tensor images = tensor(x, USP_F32, SHAPE(2, 4, 4, 4));
    EXPECT_OK(usp_random_normal(1, &images));
    usp_tensor outs[2] = {tensor(one, USP_F32, SHAPE(2, 4, 16)),
                          tensor(two, USP_F32, SHAPE(2, 4, 16))};
    int64_t chosen[2] = {2, 1};
    EXPECT_OK(usp_vit_layers(vit, &images, chosen, 2, 1, outs));
    EXPECT(memcmp(one, two, sizeof one) != 0);
    EXPECT_STATUS(usp_vit_layers(vit, &images, chosen, 2, 0, outs), USP_ERROR_SHAPE, "outs[0]");
    EXPECT_STATUS(usp_vit_layers(vit, &images, NULL, 2, 1, outs), USP_ERROR_ARGUMENT, "layers");
    chosen[0] = 0;
    EXPECT_STATUS(usp_vit_layers(vit, &images, chosen, 2, 1, outs), USP_ERROR_ARGUMENT,
                  "layers: 0, expected 1 to 2");
    usp_tensor map = tensor(maps, USP_F32, SHAPE(2, 2, 5, 5));
    EXPECT_OK(usp_vit_attention(vit, &images, 2, &map));
    EXPECT(maps[0] + maps[1] + maps[2] + maps[3] + maps[4] - 1 < 1e-5f);
    static uint8_t colours[2 * 4 * 3];
    usp_tensor out = tensor(colours, USP_U8, SHAPE(2, 4, 3));
    EXPECT_OK(usp_principal_colours(&outs[0], &out));
    EXPECT_STATUS(usp_principal_colours(&images, &out), USP_ERROR_SHAPE, "tokens");
    usp_model_free(vit);
}

void test_understand(void) {
    write_latents(LATENTS, 12, 3, 1);
    usp_data_options options = USP_DATA_OPTIONS_INIT;
    options.batch = 4;
    EXPECT_OK(usp_data_open(LATENTS, NULL, &options, &data));
    robustness();
    layers();
    usp_data_free(data);
    options.mixup = 0.8;
    EXPECT_OK(usp_data_open(LATENTS, NULL, &options, &data));
    usp_tensor label;
    EXPECT_OK(usp_data_label(data, &label));
    EXPECT(label.rank == 1 && label.shape[0] == 3 && label.dtype == USP_F32);
    static float x[4 * 4 * 4 * 4], shares[4 * 3];
    int64_t classes[4];
    usp_tensor inputs = tensor(x, USP_F32, SHAPE(4, 4, 4, 4));
    usp_tensor labels = tensor(shares, USP_F32, SHAPE(4, 3));
    EXPECT_OK(usp_data_batch(data, 0, &inputs, &labels));
    EXPECT(shares[0] + shares[1] + shares[2] > 0.999f);
    labels = tensor(classes, USP_I64, SHAPE(4));
    EXPECT_STATUS(usp_data_batch(data, 0, &inputs, &labels), USP_ERROR_DTYPE, "out_labels");
    EXPECT_OK(usp_data_samples(data, 0, &inputs, &labels));
    EXPECT(classes[2] == 2);
    usp_data_free(data);
    remove(LATENTS);
}

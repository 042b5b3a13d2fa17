/* segmenter: passes, gradients, steps and pairs of images and masks, and everything that they refuse. */
#include "check.h"

enum { BATCH = 2, SIDE = 8, K = 3, IMAGE = 4 * SIDE * SIDE };

static float pixels[BATCH * IMAGE], scores[BATCH * K * 16 * 16];
static uint8_t classes[BATCH * SIDE * SIDE], predicted[BATCH * SIDE * SIDE];
static usp_tensor x, y;

static void passes(const usp_model *model) {
    usp_tensor out = tensor(scores, USP_F32, SHAPE(BATCH, K, 16, 16));
    usp_tensor map = tensor(predicted, USP_U8, SHAPE(BATCH, SIDE, SIDE));
    EXPECT_OK(usp_segmenter_logits(model, &x, &out));
    out = tensor(scores, USP_F32, SHAPE(BATCH, K + 1, 8, 8));
    EXPECT_STATUS(usp_segmenter_logits(model, &x, &out), USP_ERROR_SHAPE, "expected [2, 3, ");
    EXPECT_OK(usp_segmenter_predict(model, NULL, &x, NULL, &map));
    for (int i = 0; i < BATCH * SIDE * SIDE; i++) EXPECT(predicted[i] < K);
    usp_window_options windows = USP_WINDOW_OPTIONS_INIT;
    windows.stride_height = windows.stride_width = 2;
    EXPECT_STATUS(usp_segmenter_predict(model, NULL, &x, &windows, &map), USP_ERROR_ARGUMENT,
                  "stride: has no part without a crop");
    windows.crop_height = windows.crop_width = 4;
    EXPECT_OK(usp_segmenter_predict(model, NULL, &x, &windows, &map));
    EXPECT_STATUS(usp_segmenter_predict(model, NULL, NULL, NULL, &map), USP_ERROR_ARGUMENT, "images");
    usp_tensor narrow = tensor(pixels, USP_F32, SHAPE(BATCH, 3, SIDE, SIDE));
    EXPECT_STATUS(usp_segmenter_predict(model, NULL, &narrow, NULL, &map), USP_ERROR_SHAPE,
                  "expected [B, 4, H, W]");
    EXPECT_STATUS(usp_segmenter_decode(model, &x, 1, &out), USP_ERROR_ARGUMENT,
                  "expected 4");
}

static void gradients(const usp_model *model) {
    float loss = 0, valid = 0;
    usp_checkpoint *found = NULL;
    usp_segmenter_options options = USP_SEGMENTER_OPTIONS_INIT;
    EXPECT_OK(usp_segmenter_gradients(model, &x, &y, &options, &loss, &found));
    usp_checkpoint_free(found);
    options.average = "valid";
    EXPECT_OK(usp_segmenter_gradients(model, &x, &y, &options, &valid, &found));
    usp_checkpoint_free(found);
    /* A quarter of the pixels has no class. */
    EXPECT(loss > 0 && loss / valid > 0.7499f && loss / valid < 0.7501f);
    options.average = "some";
    EXPECT_STATUS(usp_segmenter_gradients(model, &x, &y, &options, &loss, &found),
                  USP_ERROR_ARGUMENT, "all, valid");
    options.average = "all";
    classes[70] = K;
    EXPECT_STATUS(usp_segmenter_gradients(model, &x, &y, &options, &loss, &found),
                  USP_ERROR_ARGUMENT, "label 3");
    classes[70] = 1;
    usp_tensor one = tensor(pixels, USP_F32, SHAPE(1, 4, SIDE, SIDE));
    usp_tensor few = tensor(classes, USP_U8, SHAPE(1, SIDE, SIDE));
    EXPECT_OK(usp_segmenter_gradients(model, &one, &few, &options, &loss, &found));
    usp_checkpoint_free(found);
    options.batch_statistics = 1;
    EXPECT_STATUS(usp_segmenter_gradients(model, &one, &few, &options, &loss, &found),
                  USP_ERROR_ARGUMENT, "a batch of 1 image");
}

static void steps(const usp_model *model) {
    usp_trainer_options options = USP_TRAINER_OPTIONS_INIT;
    options.schedule = "poly";
    usp_trainer *trainer = NULL;
    options.steps = 4;
    EXPECT_OK(usp_trainer_create(model, &options, &trainer));
    usp_batch batch = USP_BATCH_INIT;
    float loss = 0;
    batch.inputs = &x;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, &loss), USP_ERROR_ARGUMENT, "expected maps");
    batch.labels = &y;
    EXPECT_OK(usp_trainer_step(trainer, &batch, &loss));
    EXPECT(loss > 0);
    classes[0] = 200;
    EXPECT_STATUS(usp_trainer_step(trainer, &batch, &loss), USP_ERROR_ARGUMENT, "label 200");
    classes[0] = 0;
    EXPECT(usp_trainer_steps(trainer) == 1);
    usp_trainer_free(trainer);
}

static void pairs(void) {
    static uint8_t bytes[SIDE * SIDE * 3];
    usp_tensor image = tensor(bytes, USP_U8, SHAPE(SIDE, SIDE, 3));
    usp_tensor mask = tensor(classes, USP_U8, SHAPE(SIDE, SIDE, 1));
    usp_data_options options = USP_DATA_OPTIONS_INIT;
    usp_data *data = NULL;
    if (system("rm -rf /tmp/usp-abi-pairs && mkdir -p /tmp/usp-abi-pairs/i /tmp/usp-abi-pairs/m")) return;
    options.masks = "/tmp/usp-abi-pairs/m";
    options.size = SIDE;
    options.batch = 1;
    EXPECT_OK(usp_image_write("/tmp/usp-abi-pairs/i/a.png", &image));
    EXPECT_STATUS(usp_data_open("/tmp/usp-abi-pairs/i", NULL, &options, &data), USP_ERROR_FORMAT,
                  "images without a mask");
    EXPECT_OK(usp_image_write("/tmp/usp-abi-pairs/m/a.png", &mask));
    EXPECT_OK(usp_data_open("/tmp/usp-abi-pairs/i", NULL, &options, &data));
    float inputs[3 * SIDE * SIDE];
    usp_tensor first = tensor(inputs, USP_F32, SHAPE(1, 3, SIDE, SIDE));
    usp_tensor map = tensor(predicted, USP_U8, SHAPE(1, SIDE, SIDE));
    EXPECT_OK(usp_data_batch(data, 0, &first, &map));
    usp_data_free(data);
    EXPECT_OK(usp_image_write("/tmp/usp-abi-pairs/m/b.png", &mask));
    EXPECT_STATUS(usp_data_open("/tmp/usp-abi-pairs/i", NULL, &options, &data), USP_ERROR_FORMAT,
                  "masks without an image");
}

void test_segmenter(void) {
    usp_model *model = NULL;
    x = tensor(pixels, USP_F32, SHAPE(BATCH, 4, SIDE, SIDE));
    y = tensor(classes, USP_U8, SHAPE(BATCH, SIDE, SIDE));
    EXPECT_OK(usp_random_normal(3, &x));
    for (int i = 0; i < BATCH * SIDE * SIDE; i++) classes[i] = i % 4 < K ? (uint8_t)(i % 4) : 255;
    EXPECT_STATUS(usp_model_create("Segmenter", "grid=4 patch=2 width=16 depth=2 heads=2 head=none", 1,
                                   &model), USP_ERROR_ARGUMENT, "upernet");
    EXPECT_OK(usp_model_create("Segmenter",
                               "grid=4 channels=4 patch=2 width=16 depth=2 heads=2 classes=3 "
                               "head_channels=8 auxiliary_channels=8", 1, &model));
    passes(model);
    gradients(model);
    steps(model);
    pairs();
    usp_model_free(model);
}

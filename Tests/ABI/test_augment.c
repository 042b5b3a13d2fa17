/* augment, segmentation, and the scores of label maps: options, outputs, refusals. */
#include "check.h"

static uint8_t pixels[6 * 8 * 3], changed[6 * 8 * 3];

static void operations(void) {
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 5);
    usp_tensor image = tensor(pixels, USP_U8, SHAPE(6, 8, 3));
    usp_tensor out = tensor(changed, USP_U8, SHAPE(6, 8, 3));
    EXPECT_OK(usp_augment_operation("Invert", USP_ABSENT, &image, &out));
    EXPECT(changed[0] == 255 && changed[3] == 240);
    double level = 0;
    EXPECT_OK(usp_augment_level("ShearX", 7, &level));
    EXPECT(fabs(level - 0.21) < 1e-12);
    EXPECT_OK(usp_augment_level("Equalize", 7, &level));
    EXPECT(level != level);
    EXPECT_STATUS(usp_augment_operation("Rotate", USP_ABSENT, &image, &out), USP_ERROR_ARGUMENT,
                  "Rotate: no argument");
    EXPECT_STATUS(usp_augment_operation("Invert", 1, &image, &out), USP_ERROR_ARGUMENT,
                  "expected no argument");
    EXPECT_STATUS(usp_augment_level("Shear", 7, &level), USP_ERROR_ARGUMENT, "did you mean");
    out = tensor(changed, USP_U8, SHAPE(8, 6, 3));
    EXPECT_STATUS(usp_augment_operation("Invert", USP_ABSENT, &image, &out), USP_ERROR_SHAPE,
                  "out: shape [8, 6, 3], expected [6, 8, 3]");
}

static void policies(void) {
    usp_tensor image = tensor(pixels, USP_U8, SHAPE(6, 8, 3));
    usp_tensor out = tensor(changed, USP_U8, SHAPE(6, 8, 3));
    usp_rand_augment_options options = USP_RAND_AUGMENT_OPTIONS_INIT;
    options.layers = 1;
    options.probability = 1;
    options.operations = "Invert";
    EXPECT_OK(usp_augment_random(&image, &options, 1, 0, &out));
    EXPECT(changed[3] == 240);
    options.magnitude = 11;
    EXPECT_STATUS(usp_augment_random(&image, &options, 1, 0, &out), USP_ERROR_ARGUMENT,
                  "magnitude: 11, expected a number of 0 to 10");
    static uint8_t square[4 * 4 * 3];
    usp_tensor crop = tensor(square, USP_U8, SHAPE(4, 4, 3));
    EXPECT_OK(usp_augment_evaluation(&image, &crop));
    crop = tensor(square, USP_U8, SHAPE(4, 3, 3));
    EXPECT_STATUS(usp_augment_evaluation(&image, &crop), USP_ERROR_SHAPE, "[size, size, 3]");
    float samples[2 * 2 * 2] = {1, 1, 1, 1, 2, 2, 2, 2}, mixed[8], shares[2 * 3];
    int64_t labels[2] = {0, 2};
    usp_tensor x = tensor(samples, USP_F32, SHAPE(2, 1, 2, 2));
    usp_tensor y = tensor(labels, USP_I64, SHAPE(2));
    usp_tensor out_x = tensor(mixed, USP_F32, SHAPE(2, 1, 2, 2));
    usp_tensor targets = tensor(shares, USP_F32, SHAPE(2, 3));
    EXPECT_OK(usp_augment_mix(&x, &y, NULL, 1, &out_x, &targets));
    EXPECT(memcmp(mixed, samples, sizeof mixed) == 0 && shares[0] > 0.93f && shares[1] > 0.03f);
    labels[1] = 3;
    EXPECT_STATUS(usp_augment_mix(&x, &y, NULL, 1, &out_x, &targets), USP_ERROR_ARGUMENT,
                  "label 3 of sample 1: expected 0 to 2");
    usp_erasing_options erasing = USP_ERASING_OPTIONS_INIT;
    erasing.erasing = 1;
    erasing.erasing_fill = "noise";
    EXPECT_STATUS(usp_augment_erase(&x, &erasing, 1, &out_x), USP_ERROR_ARGUMENT,
                  "unknown erasing_fill \"noise\"");
}

static void segmentation(void) {
    usp_tensor image = tensor(pixels, USP_U8, SHAPE(6, 8, 3));
    usp_tensor labels = tensor(pixels, USP_U8, SHAPE(6, 8));
    static uint8_t large[12 * 16 * 3];
    usp_tensor out = tensor(large, USP_U8, SHAPE(12, 16, 3));
    EXPECT_OK(usp_segmentation_resize(&image, &out));
    out = tensor(large, USP_U8, SHAPE(12, 16, 4));
    EXPECT_STATUS(usp_segmentation_resize(&image, &out), USP_ERROR_SHAPE,
                  "out: shape [12, 16, 4], expected [H', W', 3]");
    out = tensor(large, USP_U8, SHAPE(12, 16));
    EXPECT_OK(usp_segmentation_resize_labels(&labels, &out));
    EXPECT(large[0] == pixels[0] && large[12 * 16 - 1] == pixels[6 * 8 - 1]);
    usp_distortion_options colours = USP_DISTORTION_OPTIONS_INIT;
    usp_tensor same = tensor(changed, USP_U8, SHAPE(6, 8, 3));
    EXPECT_OK(usp_segmentation_distort(&image, &colours, &same));
    EXPECT(memcmp(changed, pixels, sizeof pixels) == 0);
    colours.brightness = 0;
    colours.contrast = 0;
    EXPECT_OK(usp_segmentation_distort(&image, &colours, &same));
    EXPECT(changed[10] == 0);

    int64_t height = 0, width = 0, count = 0;
    EXPECT_OK(usp_segmentation_rescaled_size(480, 640, 512, 2048, &height, &width));
    EXPECT(height == 512 && width == 683);
    EXPECT_OK(usp_segmentation_window_count(height, width, 512, 512, 341, 341, &count));
    EXPECT(count == 2);
    int64_t boxes[2 * 4];
    usp_tensor table = tensor(boxes, USP_I64, SHAPE(2, 4));
    EXPECT_OK(usp_segmentation_windows(2, 3, 2, 2, 1, 1, &table));
    EXPECT(boxes[4] == 0 && boxes[5] == 1 && boxes[6] == 2 && boxes[7] == 3);
    float windows[2 * 4] = {1, 2, 4, 5, 4, 3, 7, 6}, whole[6];
    usp_tensor parts = tensor(windows, USP_F32, SHAPE(2, 2, 2));
    usp_tensor all = tensor(whole, USP_F32, SHAPE(2, 3));
    EXPECT_OK(usp_segmentation_stitch(&parts, &table, &all));
    EXPECT(whole[0] == 1 && whole[1] == 3 && whole[2] == 3 && whole[4] == 6);
    boxes[4] = 1;
    EXPECT_STATUS(usp_segmentation_stitch(&parts, &table, &all), USP_ERROR_SHAPE, "boxes: [1]");
    EXPECT_STATUS(usp_segmentation_window_count(4, 4, 2, 2, 3, 1, &count), USP_ERROR_ARGUMENT,
                  "stride: 3");
    usp_segmentation_options options = USP_SEGMENTATION_OPTIONS_INIT;
    EXPECT_OK(usp_segmentation_sample(&image, &labels, &options, 1, 0, &height, &width, NULL, NULL));
    EXPECT(height > 0 && height <= 512 && width > 0 && width <= 512);
}

static void scores(void) {
    uint8_t predicted[4] = {0, 1, 1, 1};
    int64_t target[4] = {0, 1, 0, 255}, matrix[4];
    usp_tensor guess = tensor(predicted, USP_U8, SHAPE(4));
    usp_tensor truth = tensor(target, USP_I64, SHAPE(4));
    usp_tensor counts = tensor(matrix, USP_I64, SHAPE(2, 2));
    EXPECT_OK(usp_evaluate_confusion(&guess, &truth, 2, 255, &counts));
    EXPECT(matrix[0] == 1 && matrix[1] == 1 && matrix[2] == 0 && matrix[3] == 1);
    double accuracy = 0, mean = 0, each[2];
    usp_tensor iou = tensor(each, USP_F64, SHAPE(2));
    EXPECT_OK(usp_evaluate_segmentation(&counts, &accuracy, &mean, NULL, &iou, NULL));
    EXPECT(fabs(accuracy - 2.0 / 3) < 1e-15 && mean == 0.5 && each[0] == 0.5 && each[1] == 0.5);
    target[2] = 2;
    EXPECT_STATUS(usp_evaluate_confusion(&guess, &truth, 2, 255, &counts), USP_ERROR_ARGUMENT,
                  "pixel 2: label 2, prediction 1, expected 2 classes");
    matrix[0] = -1;
    EXPECT_STATUS(usp_evaluate_segmentation(&counts, &accuracy, &mean, NULL, NULL, NULL),
                  USP_ERROR_ARGUMENT, "[0, 0] is -1");
}

void test_augment(void) {
    operations();
    policies();
    segmentation();
    scores();
}

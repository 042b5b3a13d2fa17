/* recipe, stage, study and image: what recipes say, a stage from start to model, what is refused, pixels
 * there and back. */
#include "check.h"

#include <unistd.h>

#define LATENTS "/tmp/usp-abi-stage-latents.safetensors"
#define MODEL "/tmp/usp-abi-stage.safetensors"
#define PICTURE "/tmp/usp-abi-image.png"

enum { SAMPLES = 12 };

static const char *const sizes =
    "batch=4 steps=3 width=16 depth=1 heads=2 decoder_width=16 decoder_depth=1 decoder_heads=2";

static void remove_files(void) {
    static const char *const files[] = {
        LATENTS, MODEL, PICTURE, "/tmp/usp-abi-stage-state.safetensors",
        "/tmp/usp-abi-stage-log.jsonl", "/tmp/usp-abi-stage-run.lock"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(files[i]);
}

static void check_recipes(void) {
    size_t length = 0, count = usp_recipe_count();
    char text[4096];
    EXPECT(count >= 6 && usp_recipe_name(count) == NULL);
    for (size_t i = 0; i < count; i++) {
        EXPECT_OK(usp_recipe_text(usp_recipe_name(i), NULL, text, sizeof text, &length));
        EXPECT(length == strlen(text) && length > 0);
    }
    EXPECT_OK(usp_recipe_text("pretrain", NULL, text, sizeof text, &length));
    EXPECT(strstr(text, "epochs=800") && strstr(text, "blr=0.00015"));
    EXPECT_OK(usp_recipe_text("pretrain", "steps=7", text, sizeof text, NULL));
    EXPECT(strstr(text, "steps=7") && !strstr(text, "epochs="));
    EXPECT_OK(usp_recipe_text("pretrain", NULL, NULL, 0, &length));
    EXPECT(length > 20);
    EXPECT_STATUS(usp_recipe_text("pretrian", NULL, text, sizeof text, NULL), USP_ERROR_ARGUMENT,
                  "pretrain");
    EXPECT_STATUS(usp_recipe_text("pretrain", "stps=7", text, sizeof text, NULL),
                  USP_ERROR_ARGUMENT, "steps");
    EXPECT_STATUS(usp_recipe_text("train", "steps=7 epochs=2", text, sizeof text, NULL),
                  USP_ERROR_ARGUMENT, "exclude each other");
    EXPECT_STATUS(usp_recipe_text("train", "mask_ratio=0.5 factor=4", text, sizeof text, NULL),
                  USP_ERROR_ARGUMENT, "factor");
    EXPECT_STATUS(usp_recipe_text(NULL, NULL, text, sizeof text, NULL), USP_ERROR_ARGUMENT, "name");
}

static int steps_told;

static int32_t count_steps(const usp_run_progress *progress, void *user) {
    EXPECT(progress->steps == 3 && user == (void *)&steps_told);
    steps_told++;
    return 0;
}

/* A masked autoencoder; from it a diffusion transformer; and a probe that is measured. */
static void check_stages(const usp_data *data) {
    usp_stage *stage = NULL;
    usp_run *run = NULL;
    usp_model *masked = NULL;
    usp_run_options options = USP_RUN_OPTIONS_INIT;
    options.progress = count_steps;
    options.progress_user = &steps_told;
    EXPECT_OK(usp_stage_create("pretrain", data, NULL, NULL, NULL, sizes, &stage));
    EXPECT(usp_stage_note(stage, usp_stage_note_count(stage)) == NULL);
    EXPECT_OK(usp_stage_run(stage, MODEL, &options, &run));
    EXPECT(usp_run_steps(run) == 3);
    EXPECT_OK(usp_run_train(run));
    EXPECT(steps_told == 3);
    usp_run_free(run);
    EXPECT_OK(usp_stage_model(stage, &masked));
    EXPECT(strcmp(usp_model_family(masked), "MAE") == 0);
    usp_trainer *trainer = NULL;
    EXPECT_OK(usp_stage_trainer(stage, &trainer));
    usp_trainer_free(trainer);
    usp_stage_free(stage); /* parents and children in any order */

    usp_model *transformer = NULL;
    EXPECT_OK(usp_stage_create("train", data, NULL, masked, NULL, "batch=4 steps=1", &stage));
    int told = 0;
    for (size_t i = 0; i < usp_stage_note_count(stage); i++)
        told += strstr(usp_stage_note(stage, i), "SiT from the MAE") != NULL;
    EXPECT(told == 1);
    EXPECT_OK(usp_stage_model(stage, &transformer));
    EXPECT(strcmp(usp_model_family(transformer), "SiT") == 0);
    usp_stage_free(stage);

    char numbers[256];
    remove_files();
    EXPECT_OK(usp_stage_create("probe", data, NULL, masked, data, "batch=4 steps=3", &stage));
    EXPECT_OK(usp_stage_metrics(stage, numbers, sizeof numbers, NULL));
    EXPECT(numbers[0] == 0);
    EXPECT_OK(usp_stage_run(stage, MODEL, NULL, &run));
    EXPECT_OK(usp_run_train(run));
    EXPECT_OK(usp_stage_metrics(stage, numbers, sizeof numbers, NULL));
    EXPECT(strncmp(numbers, "top1=", 5) == 0 && atof(numbers + 5) >= 0 && atof(numbers + 5) <= 1);
    usp_run_free(run);
    usp_stage_free(stage);
    usp_model_free(transformer);
    usp_model_free(masked);
}

static void check_refusals(const usp_data *data) {
    usp_stage *stage = NULL;
    EXPECT_STATUS(usp_stage_create("pretrain", NULL, NULL, NULL, NULL, sizes, &stage),
                  USP_ERROR_ARGUMENT, "data");
    EXPECT_STATUS(usp_stage_create("pretrain", data, NULL, NULL, NULL, sizes, NULL),
                  USP_ERROR_ARGUMENT, "out");
    EXPECT_STATUS(usp_stage_create("autoencoder", data, NULL, NULL, NULL, "steps=1", &stage),
                  USP_ERROR_ARGUMENT, "images");
    EXPECT_STATUS(usp_stage_create("pretrain", data, NULL, NULL, NULL, "batch=13", &stage),
                  USP_ERROR_ARGUMENT, "12 samples");
    EXPECT_STATUS(usp_stage_create("train", data, NULL, NULL, NULL, "patch=3 width=16 heads=2", &stage),
                  USP_ERROR_SHAPE, "patch");
    EXPECT_STATUS(usp_stage_create("train", data, NULL, NULL, NULL, "from=/tmp/no/such", &stage),
                  USP_ERROR_IO, "/tmp/no/such");
    EXPECT(stage == NULL);
    usp_stage_free(NULL);
    EXPECT(usp_stage_note_count(NULL) == 0 && usp_stage_note(NULL, 0) == NULL);
    EXPECT_STATUS(usp_stage_model(NULL, NULL), USP_ERROR_ARGUMENT, "");
}

static int32_t stop(const usp_progress *progress, void *user) {
    EXPECT(progress->stage && progress->steps > 0);
    ++*(int *)user;
    return 1;
}

static void check_studies(void) {
    char text[4096];
    int told = 0;
    EXPECT_OK(usp_study_text("colour", "quick", "seeds=2", text, sizeof text, NULL));
    EXPECT(strstr(text, "seeds=2") && strstr(text, "channels=3"));
    EXPECT_STATUS(usp_study_text("colour", "quik", NULL, text, sizeof text, NULL),
                  USP_ERROR_ARGUMENT, "quick");
    EXPECT_STATUS(usp_study_text("/tmp/no/such", NULL, NULL, text, sizeof text, NULL),
                  USP_ERROR_ARGUMENT, "/tmp/no/such");
    EXPECT_STATUS(usp_study_run("colour", "/tmp/usp-abi-study", NULL, "ablate=maks-ratio", NULL, NULL),
                  USP_ERROR_ARGUMENT, "mask-ratio");
    EXPECT_STATUS(usp_study_run("colour", NULL, NULL, NULL, NULL, NULL), USP_ERROR_ARGUMENT, "out");
    /* A folder of one picture: told of once, and stopped. */
    usp_status status = usp_study_run("/tmp/usp-abi-photos", "/tmp/usp-abi-study", "quick",
                                      "crops=20 size=16", stop, &told);
    EXPECT(status == USP_ERROR_CANCELLED && told == 1);
}

static void check_images(void) {
    uint8_t pixels[4 * 5 * 3];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 7);
    usp_tensor given = tensor(pixels, USP_U8, SHAPE(4, 5, 3)), read;
    usp_image *image = NULL;
    EXPECT_OK(usp_image_write(PICTURE, &given));
    EXPECT_OK(usp_image_open(PICTURE, 0, &image));
    EXPECT_OK(usp_image_pixels(image, &read));
    EXPECT(read.rank == 3 && read.shape[0] == 4 && read.shape[1] == 5 && read.shape[2] == 3
           && read.dtype == USP_U8 && memcmp(read.data, pixels, sizeof pixels) == 0);
    usp_image_free(image);
    given.shape[2] = 5;
    EXPECT_STATUS(usp_image_write(PICTURE, &given), USP_ERROR_SHAPE, "[H, W, C]");
    EXPECT_STATUS(usp_image_write(PICTURE, NULL), USP_ERROR_ARGUMENT, "pixels");
    EXPECT_STATUS(usp_image_open("/tmp/no/such.png", 0, &image), USP_ERROR_IO, "/tmp/no/such.png");
    EXPECT_STATUS(usp_image_open(LATENTS, 0, &image), USP_ERROR_FORMAT, LATENTS);
    EXPECT_STATUS(usp_image_open(NULL, 0, &image), USP_ERROR_ARGUMENT, "path");
    EXPECT_STATUS(usp_image_pixels(NULL, &read), USP_ERROR_ARGUMENT, "image");
    usp_image_free(NULL);
}

void test_recipe(void) {
    remove_files();
    write_latents(LATENTS, SAMPLES, 3, 3);
    check_recipes();
    check_images();
    usp_data *data = NULL;
    EXPECT_OK(usp_data_open(LATENTS, NULL, NULL, &data));
    check_refusals(data);
    check_stages(data);
    usp_data_free(data);
    if (system("mkdir -p /tmp/usp-abi-photos") == 0) {
        uint8_t pixels[60 * 80 * 3] = {0};
        usp_tensor picture = tensor(pixels, USP_U8, SHAPE(60, 80, 3));
        EXPECT_OK(usp_image_write("/tmp/usp-abi-photos/a.png", &picture));
        check_studies();
    }
    EXPECT(system("rm -rf /tmp/usp-abi-photos /tmp/usp-abi-study") == 0);
    remove_files();
}

/* checkpoint: made, saved, opened again; wrong names, paths, buffers. */
#include "check.h"

#include <unistd.h>

#define PATH "/tmp/usp-abi-test.safetensors"

static void made_and_saved(void) {
    float values[6] = {1, 2, 3, 4, 5, 6};
    const char *names[2] = {"first", "second"};
    usp_tensor arrays[2] = {tensor(values, USP_F32, SHAPE(2, 3)),
                            tensor(values, USP_F32, SHAPE(4))};
    usp_checkpoint *made = NULL, *opened = NULL;
    EXPECT_OK(usp_checkpoint_create(names, arrays, 2, &made));
    EXPECT_OK(usp_checkpoint_save(made, PATH, NULL));
    usp_checkpoint_free(made);
    EXPECT_OK(usp_checkpoint_open(PATH, NULL, &opened));
    EXPECT(usp_checkpoint_count(opened) == 2);
    EXPECT(strcmp(usp_checkpoint_name(opened, 0), "first") == 0);
    EXPECT(usp_checkpoint_name(opened, 2) == NULL && strstr(usp_last_error(), "past the end"));
    usp_tensor found;
    EXPECT_OK(usp_checkpoint_shape(opened, "second", &found));
    EXPECT(found.data == NULL && found.rank == 1 && found.shape[0] == 4);
    EXPECT_OK(usp_checkpoint_tensor(opened, "first", &found));
    EXPECT(found.rank == 2 && memcmp(found.data, values, sizeof values) == 0);
    EXPECT_STATUS(usp_checkpoint_tensor(opened, "third", &found), USP_ERROR_MISSING_WEIGHT,
                  "third");
    EXPECT_STATUS(usp_checkpoint_tensor(opened, NULL, &found), USP_ERROR_ARGUMENT, "name: is NULL");

    size_t length = 0;
    char small[8];
    EXPECT_OK(usp_checkpoint_report(opened, NULL, 0, &length));
    EXPECT(length > 20);
    EXPECT_OK(usp_checkpoint_report(opened, small, sizeof small, NULL));
    EXPECT(strlen(small) == 7);
    EXPECT_STATUS(usp_checkpoint_report(opened, NULL, 8, NULL), USP_ERROR_ARGUMENT, "buffer");

    usp_save_options save = USP_SAVE_OPTIONS_INIT;
    save.dtype = "f13";
    EXPECT_STATUS(usp_checkpoint_save(opened, PATH, &save), USP_ERROR_ARGUMENT, "bf16");
    EXPECT_STATUS(usp_checkpoint_save(opened, "/nowhere/x.pt", NULL), USP_ERROR_IO, "/nowhere");
    usp_checkpoint_free(opened);
    EXPECT(usp_checkpoint_count(opened) == 0);
    EXPECT(truncate(PATH, 40) == 0);
    EXPECT_STATUS(usp_checkpoint_open(PATH, NULL, &opened), USP_ERROR_FORMAT, PATH);
    unlink(PATH);
    EXPECT_STATUS(usp_checkpoint_open(PATH, NULL, &opened), USP_ERROR_IO, PATH);
}

static void wrong_arguments(void) {
    float values[2] = {0};
    const char *names[2] = {"same", "same"};
    usp_tensor arrays[2] = {tensor(values, USP_F32, SHAPE(2)), tensor(values, USP_F32, SHAPE(2))};
    usp_checkpoint *made = NULL;
    EXPECT_STATUS(usp_checkpoint_create(names, arrays, 2, &made), USP_ERROR_FORMAT, "same");
    EXPECT_STATUS(usp_checkpoint_create(NULL, arrays, 2, &made), USP_ERROR_ARGUMENT, "NULL");
    names[1] = NULL;
    EXPECT_STATUS(usp_checkpoint_create(names, arrays, 2, &made), USP_ERROR_ARGUMENT, "names[1]");
    EXPECT_STATUS(usp_checkpoint_open(NULL, NULL, &made), USP_ERROR_ARGUMENT, "path: is NULL");
    EXPECT_STATUS(usp_checkpoint_open("x", NULL, NULL), USP_ERROR_ARGUMENT, "out: is NULL");
    usp_diffusion *other = NULL;
    EXPECT_OK(usp_diffusion_create(NULL, &other));
    EXPECT(usp_checkpoint_count((usp_checkpoint *)other) == 0);
    EXPECT(strstr(usp_last_error(), "is a usp_diffusion, expected a usp_checkpoint") != NULL);
    usp_checkpoint_free((usp_checkpoint *)other);
    EXPECT(usp_diffusion_steps(other) == 1000);
    usp_diffusion_free(other);
}

void test_checkpoint(void) {
    made_and_saved();
    wrong_arguments();
}

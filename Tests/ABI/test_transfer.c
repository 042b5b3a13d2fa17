/* transfer: a plan enumerated, carried out in memory and in a file; refusals. */
#include "check.h"

#include <unistd.h>

#define SOURCE "Tests/Golden/transfer/checkpoint-3.pth"
#define PATH "/tmp/usp-abi-transfer.pt"

static void planned(usp_transfer_plan *plan) {
    size_t count = usp_transfer_plan_count(plan), fresh = 0;
    EXPECT(count > 30 && usp_transfer_plan_left_count(plan) > 10);
    int64_t parameters = 0;
    for (size_t i = 0; i < count; i++) {
        usp_tensor shape;
        EXPECT_OK(usp_transfer_plan_shape(plan, i, &shape));
        int64_t size = 1;
        for (int axis = 0; axis < shape.rank; axis++) size *= shape.shape[axis];
        parameters += size;
        EXPECT(usp_transfer_plan_name(plan, i) && usp_transfer_plan_action(plan, i));
        fresh += usp_transfer_plan_source(plan, i)[0] == 0;
    }
    EXPECT(fresh > 0 && parameters == usp_transfer_plan_parameters(plan));
    EXPECT(usp_transfer_plan_transferred(plan) > 0);
    EXPECT(usp_transfer_plan_name(plan, count) == NULL && strstr(usp_last_error(), "past the end"));
    EXPECT(usp_transfer_plan_left_name(plan, 0) && usp_transfer_plan_left_reason(plan, 0));
    EXPECT(usp_transfer_plan_note_count(plan) == 1 &&
           strstr(usp_transfer_plan_note(plan, 0), "GELU"));
    size_t length = 0;
    EXPECT_OK(usp_transfer_plan_report(plan, NULL, 0, &length));
    EXPECT(length > 1000);
    EXPECT_OK(usp_transfer_plan_json(plan, NULL, 0, &length));
}

void test_transfer(void) {
    usp_transfer_options options = USP_TRANSFER_OPTIONS_INIT;
    options.heads = 2;
    options.grid_height = 8;
    usp_transfer_plan *plan = NULL;
    EXPECT_OK(usp_transfer_plan_open(SOURCE, "DiT", &options, &plan));
    planned(plan);
    usp_checkpoint *made = NULL, *written = NULL;
    EXPECT_OK(usp_transfer_plan_apply(plan, &made));
    EXPECT(usp_checkpoint_count(made) == usp_transfer_plan_count(plan));
    EXPECT_OK(usp_transfer_plan_write(plan, PATH, NULL));
    EXPECT_STATUS(usp_transfer_plan_write(plan, PATH, "f13"), USP_ERROR_ARGUMENT, "bf16");
    EXPECT_STATUS(usp_transfer_plan_write(plan, "/nowhere/x.pt", NULL), USP_ERROR_IO, "/nowhere");
    usp_transfer_plan_free(plan);
    EXPECT_OK(usp_checkpoint_open(PATH, NULL, &written));
    EXPECT(usp_checkpoint_count(written) == usp_checkpoint_count(made));
    usp_checkpoint_free(written);
    usp_checkpoint_free(made);
    unlink(PATH);

    usp_transfer_plan *none = NULL;
    options.grid_height = 0;
    options.grid_width = 6;
    EXPECT_STATUS(usp_transfer_plan_open(SOURCE, "DiT", &options, &none), USP_ERROR_ARGUMENT,
                  "grid: 0x6");
    options.grid_width = 0;
    EXPECT_STATUS(usp_transfer_plan_open(SOURCE, "DiT-B/2", &options, &none), USP_ERROR_SHAPE,
                  "24 wide");
    EXPECT_STATUS(usp_transfer_plan_open(NULL, "DiT", NULL, &none), USP_ERROR_ARGUMENT,
                  "path: is NULL");
    EXPECT_STATUS(usp_transfer_plan_create(NULL, "DiT", NULL, &none), USP_ERROR_ARGUMENT, "source");
    EXPECT_STATUS(usp_transfer_plan_open(SOURCE, "DiT", NULL, NULL), USP_ERROR_ARGUMENT,
                  "out: is NULL");
    usp_transfer_plan_free(NULL);
}

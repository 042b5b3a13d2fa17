/* Header section "alignment": what teachers are shown. */
#include "check.h"

void test_alignment(void) {
    int64_t height = 0, width = 0;
    EXPECT_OK(usp_alignment_size("dinov2", 256, 512, 0, &height, &width));
    EXPECT(height == 448 && width == 448);
    EXPECT_OK(usp_alignment_size("mae", 96, 80, 0, &height, &width));
    EXPECT(height == 96 && width == 80);
    EXPECT_STATUS(usp_alignment_size("clip", 96, 80, 0, &height, &width), USP_ERROR_ARGUMENT,
                  "256 to 16384 columns");
    EXPECT_STATUS(usp_alignment_size("vae", 1, 1, 0, NULL, NULL), USP_ERROR_ARGUMENT, "known are");
}

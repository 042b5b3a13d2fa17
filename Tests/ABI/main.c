/* The C tests: whatever a caller does wrong is an error, and the process lives. */
#include "check.h"

int checks, failures;

int main(void) {
    test_tensor();
    test_threads();
    test_checkpoint();
    test_transfer();
    test_diffusion();
    test_transport();
    test_model();
    test_mar();
    test_segmenter();
    test_trainer();
    test_alignment();
    test_augment();
    test_understand();
    test_run();
    test_recipe();
    test_story();
    printf("C: %d expectations, %d failed\n", checks, failures);
    return failures != 0;
}

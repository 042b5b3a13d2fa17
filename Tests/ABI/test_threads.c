/* threads: the pool's size; the last error is each thread's own. */
#include "check.h"

#include <pthread.h>

static void *other_thread(void *result) {
    *(int *)result = usp_last_error()[0] == 0;
    return usp_set_threads(-1) == USP_ERROR_ARGUMENT ? NULL : result;
}

void test_threads(void) {
    EXPECT_STATUS(usp_set_threads(-7), USP_ERROR_ARGUMENT, "count: is -7");
    int was_empty = 0;
    void *returned = &was_empty;
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, other_thread, &was_empty) == 0);
    EXPECT(pthread_join(thread, &returned) == 0);
    EXPECT(was_empty == 1 && returned == NULL);
    EXPECT(strstr(usp_last_error(), "is -7") != NULL);
    int32_t before = usp_threads();
    EXPECT_OK(usp_set_threads(1));
    EXPECT(usp_threads() == 1);
    EXPECT_OK(usp_set_threads(0));
    EXPECT(usp_threads() >= 1 && before >= 1);
}

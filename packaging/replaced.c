/* In place of functions of the Swift runtime that nothing here calls and that bring much along. */
#include <stdint.h>
#include <stdlib.h>

#define HIDDEN __attribute__((visibility("hidden")))

/* Half a megabyte of tables, the names of all Unicode characters: without them a name is not known. */
HIDDEN intptr_t _swift_stdlib_getScalarName(uint32_t scalar, uint8_t *buffer, intptr_t capacity) {
    (void)scalar, (void)buffer, (void)capacity;
    return 0;
}

/* Swift's concurrency, more than half a megabyte: Swift Argument Parser could run commands
 * asynchronously; ours are not. */
HIDDEN void swift_task_alloc(void) { abort(); }
HIDDEN void swift_task_dealloc(void) { abort(); }
HIDDEN void swift_task_switch(void) { abort(); }

/* Reports of crashes, which are the host's to handle: those that SWIFT_BACKTRACE asks for need a program
 * of the toolchain beside the library. Settings of zeros are "off". */
HIDDEN char _swift_backtraceSettings[1024];
HIDDEN int _swift_backtrace_isThunkFunction(const char *name) {
    (void)name;
    return 0;
}

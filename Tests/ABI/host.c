/* What loading and using the library does to the process that embeds it: its threads, memory and
 * processors, and what it finds of them.
 *   usage: host libusp.so [library of the host's, loaded for all to see ...] */
#define _GNU_SOURCE
#include "usp.h"

#include <dlfcn.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

#define EXPECT(condition)                                                                    \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            failures++;                                                                      \
            printf("%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition, last_error()); \
        }                                                                                    \
    } while (0)

static void *library;

static void *found(const char *name) {
    void *symbol = dlsym(library, name);
    if (!symbol) printf("host: no %s\n", name), exit(1);
    return symbol;
}

/* Functions by name, since the library is loaded on the way. */
#define CALL(name) (*(__typeof__(&name))found(#name))

static const char *last_error(void) { return library ? CALL(usp_last_error)() : "not loaded"; }

/* A number of /proc/self/status, in its own unit. */
static long status(const char *field) {
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, field, strlen(field)) == 0) value = atol(line + strlen(field));
    if (file) fclose(file);
    return value;
}

static int mapped(const char *name) {
    char line[1024];
    int count = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    while (file && fgets(line, sizeof line, file)) count += strstr(line, name) != NULL;
    if (file) fclose(file);
    return count;
}

static void load(const char *path) {
    long before = status("VmSize:");
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) printf("host: %s\n", dlerror()), exit(1);
    EXPECT(status("Threads:") == 1);
    EXPECT(!mapped("openblas"));
    EXPECT(status("VmSize:") - before < 64 << 10);
}

/* As many threads as the process may use processors, when they are asked for. */
static void processors(void) {
    cpu_set_t all, one;
    EXPECT(sched_getaffinity(0, sizeof all, &all) == 0);
    const int count = CPU_COUNT(&all);
    EXPECT(CALL(usp_threads)() >= 1 && CALL(usp_threads)() <= count);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
    EXPECT(sched_setaffinity(0, sizeof one, &one) == 0);
    EXPECT(CALL(usp_set_threads)(0) == USP_OK && CALL(usp_threads)() == 1);
    EXPECT(sched_setaffinity(0, sizeof all, &all) == 0);
    EXPECT(CALL(usp_set_threads)(0) == USP_OK && CALL(usp_threads)() <= count);
    EXPECT(CALL(usp_set_threads)(2) == USP_OK);
}

/* A step of training and a forward pass of a model of some 90 MB. */
static void compute(void) {
    static float data[2 * 4 * 16 * 16], prediction[2 * 8 * 16 * 16];
    float times[2] = {3, 700}, loss = 0;
    int64_t classes[2] = {1, 2};
    usp_tensor x = {data, {2, 4, 16, 16}, {0}, 4, USP_F32};
    usp_tensor t = {times, {2}, {0}, 1, USP_F32}, y = {classes, {2}, {0}, 1, USP_I64};
    usp_tensor out = {prediction, {2, 8, 16, 16}, {0}, 4, USP_F32};
    usp_model *model = NULL;
    usp_trainer *trainer = NULL;
    usp_trainer_options options = USP_TRAINER_OPTIONS_INIT;
    options.average_decay = 0.9f;
    EXPECT(CALL(usp_random_normal)(1, &x) == USP_OK);
    EXPECT(CALL(usp_model_create)("DiT", "grid=8x8 depth=8", 1, &model) == USP_OK);
    EXPECT(CALL(usp_dit_forward)(model, &x, &t, &y, &out) == USP_OK);
    EXPECT(CALL(usp_trainer_create)(model, &options, &trainer) == USP_OK);
    usp_batch batch = USP_BATCH_INIT;
    batch.inputs = &x;
    batch.labels = &y;
    EXPECT(CALL(usp_trainer_step)(trainer, &batch, &loss) == USP_OK);
    EXPECT(status("VmRSS:") > 300 << 10);
    CALL(usp_model_free)(model);
    CALL(usp_trainer_free)(trainer);
}

/* What was freed is the system's again; what calls have left, once it is asked for. */
static void memory(void) {
    compute();
    CALL(usp_trim)();
    const long before = status("VmRSS:");
    compute();
    const long after = status("VmRSS:");
    EXPECT(after - before < 24 << 10);
    CALL(usp_trim)();
    EXPECT(status("VmRSS:") <= after + 1024);
    printf("host: %ld MiB after all was freed, %ld before\n", after >> 10, before >> 10);
}

static double frechet(void) {
    static float features[2][40 * 8];
    double distance = -1;
    usp_tensor a = {features[0], {40, 8}, {0}, 2, USP_F32};
    usp_tensor b = {features[1], {40, 8}, {0}, 2, USP_F32};
    EXPECT(CALL(usp_random_normal)(1, &a) == USP_OK && CALL(usp_random_normal)(2, &b) == USP_OK);
    EXPECT(CALL(usp_evaluate_frechet)(&a, &b, &distance) == USP_OK);
    return distance;
}

/* In a child whose limits are so small: the same distance, or what the system refuses in words. */
static void limited(const char *path, int resource, rlim_t limit, double expected) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit small = {limit, limit};
        alarm(60);
        /* root has as many processes as it likes */
        if (resource == RLIMIT_NPROC && getuid() == 0 && setuid(65534) != 0) _exit(3);
        if (setrlimit(resource, &small) != 0) _exit(3);
        library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library) printf("host: %s\n", dlerror()), _exit(2);
        const double distance = frechet();
        EXPECT(fabs(distance - expected) <= 1e-10 * expected);
        fflush(stdout);
        _exit(failures != 0);
    }
    int state = -1;
    EXPECT(waitpid(pid, &state, 0) == pid && state == 0);
}

/* The distance, from a child in which the host has loaded a library of its own first. */
static double beside(const char *path, const char *hosts) {
    int ends[2], state = -1;
    double distance = -1;
    EXPECT(pipe(ends) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (!hosts) {
            load(path);
        } else if (!dlopen(hosts, RTLD_NOW | RTLD_GLOBAL) ||
                   !(library = dlopen(path, RTLD_NOW | RTLD_LOCAL))) {
            printf("host: %s\n", dlerror());
            _exit(2);
        }
        int (*count)(void) = NULL;
        *(void **)&count = dlsym(RTLD_DEFAULT, "openblas_get_num_threads");
        const int is_poison = hosts && strstr(hosts, "poison"), before =
            count && !is_poison ? count() : 0;
        alarm(60);
        distance = frechet();
        if (!hosts) EXPECT(status("Threads:") <= CALL(usp_threads)());
        if (count && !is_poison) EXPECT(count() == before);
        EXPECT(write(ends[1], &distance, sizeof distance) == sizeof distance);
        fflush(stdout);
        _exit(failures != 0);
    }
    close(ends[1]);
    EXPECT(read(ends[0], &distance, sizeof distance) == sizeof distance);
    EXPECT(waitpid(pid, &state, 0) == pid && state == 0 && distance > 0);
    close(ends[0]);
    return distance;
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    const double expected = beside(arguments[1], NULL);
    for (int i = 2; i < count; i++) EXPECT(beside(arguments[1], arguments[i]) == expected);
    limited(arguments[1], RLIMIT_AS, 192 << 20, expected);
    limited(arguments[1], RLIMIT_NPROC, 1, expected);
    limited(arguments[1], RLIMIT_DATA, 64 << 20, expected);
    load(arguments[1]);
    processors();
    memory();
    printf("host: %d failed\n", failures);
    return failures != 0;
}

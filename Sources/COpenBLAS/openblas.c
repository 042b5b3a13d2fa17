/* RTLD_DEEPBIND lets OpenBLAS find its own functions before those of the same name that the host
 * may have loaded for all (SciPy's and NumPy's wheels bring others, with 64-bit integers too), and
 * RTLD_LOCAL keeps ours from the host. */
#define _GNU_SOURCE
#include "COpenBLAS.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define NAME "libopenblas.so.0"
#define FLAGS (RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND)

enum { OPENING_STACK = 1 << 20 };

/* A full path is another library than what the host may have loaded by this name. */
static void *open_library(void) {
    Dl_info here;
    char path[4096];
    static const char *const folders[] = {
#if defined(__x86_64__)
        "/usr/lib/x86_64-linux-gnu",
#elif defined(__aarch64__)
        "/usr/lib/aarch64-linux-gnu",
#endif
        "/usr/lib64", "/usr/lib"};
    void *library = NULL;
    if (dladdr((void *)uspi_openblas_open, &here) && here.dli_fname) {
        const char *slash = strrchr(here.dli_fname, '/');
        const int length = slash ? (int)(slash - here.dli_fname) : -1;
        if (length >= 0 && length < 4000) {
            snprintf(path, sizeof path, "%.*s/" NAME, length, here.dli_fname);
            library = dlopen(path, FLAGS);
        }
    }
    for (size_t i = 0; !library && i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s/" NAME, folders[i]);
        library = dlopen(path, FLAGS);
    }
    if (library) return library;
    void *hosts = dlopen(NAME, RTLD_LAZY | RTLD_NOLOAD);
    if (hosts) return dlclose(hosts), NULL;
    return dlopen(NAME, FLAGS);
}

/* On a thread that may use one processor: OpenBLAS starts a thread for each one that it sees, and
 * where the system refuses one it ends the process. */
static void *open_alone(void *result) {
    cpu_set_t may, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof may, &may) != 0) return NULL;
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &may)) CPU_SET(i, &one);
    }
    if (sched_setaffinity(0, sizeof one, &one) == 0) *(void **)result = open_library();
    return NULL;
}

/* Whether its whole numbers have 32 bits. */
static int is_narrow(void *library) {
    char *(*config)(void) = (char *(*)(void))dlsym(library, "openblas_get_config");
    const char *text = config ? config() : NULL;
    return text && !strstr(text, "USE64BITINT");
}

int uspi_openblas_open(uspi_openblas *functions) {
    pthread_attr_t attributes;
    pthread_t thread;
    void *library = NULL;
    if (dlsym(RTLD_DEFAULT, "__asan_init")) return 0; /* it ends a process that uses DEEPBIND */
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setstacksize(&attributes, OPENING_STACK);
    const int status = pthread_create(&thread, &attributes, open_alone, &library);
    pthread_attr_destroy(&attributes);
    if (status != 0) return 0;
    pthread_join(thread, NULL);
    if (!library) return 0;
    *(void **)&functions->get_num_threads = dlsym(library, "openblas_get_num_threads");
    *(void **)&functions->set_num_threads = dlsym(library, "openblas_set_num_threads");
    *(void **)&functions->dsyevd = dlsym(library, "dsyevd_");
    return functions->get_num_threads && functions->set_num_threads && functions->dsyevd &&
           is_narrow(library);
}

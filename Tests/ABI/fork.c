/* fork beside threads that compute, again and again: each child computes too, to the same bits, on
 * its own threads, and ends.
 *   usage: fork [times] */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <usp.h>

enum { side = 32, size = 4 * side * side };

static usp_model *dit;
static atomic_int stop;
static float noise[size], expected[2 * size];

static int predict(float *prediction) {
    float time = 7;
    usp_tensor x = {noise, {1, 4, side, side}, {0}, 4, USP_F32}, t = {&time, {1}, {0}, 1, USP_F32};
    usp_tensor out = {prediction, {1, 8, side, side}, {0}, 4, USP_F32};
    return usp_dit_forward(dit, &x, &t, NULL, &out) == USP_OK;
}

static int is_expected(void) {
    static _Thread_local float prediction[2 * size];
    memset(prediction, 0, sizeof prediction);
    return predict(prediction) && memcmp(prediction, expected, sizeof expected) == 0;
}

static void *compute(void *unused) {
    while (!atomic_load(&stop))
        if (!is_expected()) return &stop;
    return unused;
}

static int threads_now(void) {
    int count = 0;
    char line[200];
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "Threads: %d", &count);
    if (status) fclose(status);
    return count;
}

/* In the child: alone, then from two threads of its own, and a handle made and freed. */
static int child(int count) {
    if (!is_expected() || threads_now() != count) return 1;
    pthread_t other;
    void *result = &stop;
    atomic_store(&stop, 0);
    if (pthread_create(&other, NULL, compute, NULL) != 0) return 2;
    for (int i = 0; i < 3; i++)
        if (!is_expected()) return 3;
    usp_transport *transport = NULL;
    if (usp_transport_create(NULL, &transport) != USP_OK) return 4;
    usp_transport_free(transport);
    atomic_store(&stop, 1);
    return pthread_join(other, &result) == 0 && result == NULL ? 0 : 5;
}

/* Its status; a child that hangs is killed after a minute of waiting. */
static int wait_for(pid_t pid) {
    int status = -1;
    for (int waits = 0; waits < 6000; waits++) {
        if (waitpid(pid, &status, WNOHANG) == pid) return status;
        usleep(10000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return status;
}

int main(int argc, char **argv) {
    int times = argc > 1 ? atoi(argv[1]) : 40, failures = 0;
    usp_tensor x = {noise, {1, 4, side, side}, {0}, 4, USP_F32};
    if (usp_model_create("DiT", "width=64 depth=2 heads=2", 1, &dit) != USP_OK ||
        usp_random_normal(1, &x) != USP_OK || !predict(expected))
        return puts(usp_last_error()), 1;
    for (int threads = 1; threads <= 3; threads++) {
        pthread_t computing[2];
        if (usp_set_threads(threads) != USP_OK) return 1;
        atomic_store(&stop, 0);
        for (int i = 0; i < 2; i++) pthread_create(&computing[i], NULL, compute, NULL);
        for (int i = 0; i < times / 3 + 1; i++) {
            usleep(500 + 977 * i % 4000);
            pid_t pid = fork();
            if (pid == 0) _exit(child(threads));
            int status = wait_for(pid);
            if (status != 0) {
                failures++;
                fprintf(stderr, "fork %d with %d threads: %s %d\n", i, threads,
                        WIFSIGNALED(status) ? "signal" : "failure",
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            }
        }
        atomic_store(&stop, 1);
        for (int i = 0; i < 2; i++) {
            void *result = &stop;
            failures += pthread_join(computing[i], &result) != 0 || result != NULL;
        }
    }
    usp_model_free(dit);
    printf("fork: %d children, %d failed\n", 3 * (times / 3 + 1), failures);
    return failures != 0;
}

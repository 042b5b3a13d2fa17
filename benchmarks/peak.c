/* The machine's peak: multiply-adds a second of THREADS threads in f32 and in bf16 dot products,
 * and bytes a second of reading memory. Prints `f32 bf16 memory` in GFLOP/s and GB/s (0: none).
 *   usp-peak THREADS [ROUNDS]     the best of some rounds of a twentieth of a second */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { F32, BF16, MEMORY, KINDS, LANES = 24, MOST_ROUNDS = 16 };
static int rounds = 5;
static const size_t bytes = (size_t)64 << 20;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double wide(long n, float *out) {
    __m512 a[LANES], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    for (int i = 0; i < LANES; i++) a[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < n; k++) {
#pragma unroll
        for (int i = 0; i < LANES; i++) a[i] = _mm512_fmadd_ps(a[i], x, y);
    }
    for (int i = 0; i < LANES; i++) *out += _mm512_reduce_add_ps(a[i]);
    return (double)n * LANES * 32;
}

__attribute__((target("avx512f,avx512bf16"))) static double dots(long n, float *out) {
    __m512 a[LANES];
    __m512bh x = (__m512bh)_mm512_set1_ps(0.999f), y = (__m512bh)_mm512_set1_ps(1e-3f);
    for (int i = 0; i < LANES; i++) a[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < n; k++) {
#pragma unroll
        for (int i = 0; i < LANES; i++) a[i] = _mm512_dpbf16_ps(a[i], x, y);
        __asm__ volatile("" : "+v"(x), "+v"(y));
    }
    for (int i = 0; i < LANES; i++) *out += _mm512_reduce_add_ps(a[i]);
    return (double)n * LANES * 64;
}

__attribute__((target("avx2,fma"))) static double narrow(long n, float *out) {
    __m256 a[12], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
    for (int i = 0; i < 12; i++) a[i] = _mm256_set1_ps((float)i);
    for (long k = 0; k < n; k++) {
#pragma unroll
        for (int i = 0; i < 12; i++) a[i] = _mm256_fmadd_ps(a[i], x, y);
    }
    for (int i = 0; i < 12; i++) *out += a[i][0];
    return (double)n * 12 * 16;
}
#endif

static double plain(long n, float *out) {
    float a[32];
    for (int i = 0; i < 32; i++) a[i] = (float)i;
    for (long k = 0; k < n; k++) {
        for (int i = 0; i < 32; i++) a[i] = a[i] * 0.999f + 1e-3f;
        __asm__ volatile("" ::: "memory");
    }
    for (int i = 0; i < 32; i++) *out += a[i];
    return (double)n * 64;
}

/* One slice of work of a kind; its operations or bytes. */
static double slice(int kind, const float *data, float *out) {
    const long n = 100000;
    if (kind == MEMORY) {
        float s[64] = {0};
        for (size_t i = 0; i < bytes / 4; i += 64) {
            for (size_t j = 0; j < 64; j++) s[j] += data[i + j];
        }
        for (int j = 0; j < 64; j++) *out += s[j];
        return (double)bytes;
    }
#if defined(__x86_64__)
    if (kind == BF16) return __builtin_cpu_supports("avx512bf16") ? dots(n, out) : 0;
    if (__builtin_cpu_supports("avx512f")) return wide(n, out);
    if (__builtin_cpu_supports("fma")) return narrow(n, out);
#endif
    return kind == F32 ? plain(n, out) : 0;
}

typedef struct {
    pthread_barrier_t *start;
    float *data, sum;
    double rate[KINDS][MOST_ROUNDS];
} job;

/* Threads that share a core slow each other: all run for the same time, and the sum counts. */
static void *body(void *argument) {
    job *j = argument;
    for (int kind = 0; kind < KINDS; kind++) {
        for (int round = 0; round < rounds; round++) {
            double done = 0;
            pthread_barrier_wait(j->start);
            const double begin = now();
            while (now() - begin < 0.05) done += slice(kind, j->data, &j->sum);
            j->rate[kind][round] = done / (now() - begin) / 1e9;
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    const int threads = argc > 1 ? atoi(argv[1]) : 1;
    if (argc > 2) rounds = atoi(argv[2]);
    if (threads < 1 || threads > 1024 || rounds < 1 || rounds > MOST_ROUNDS) return 1;
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    pthread_t ids[1024];
    job *jobs = calloc((size_t)threads, sizeof *jobs);
    if (!jobs) return 1;
    for (int i = 0; i < threads; i++) {
        jobs[i].start = &start;
        jobs[i].data = malloc(bytes);
        if (!jobs[i].data) return 1;
        memset(jobs[i].data, 0, bytes);
    }
    for (int i = 1; i < threads; i++) {
        if (pthread_create(&ids[i], NULL, body, &jobs[i])) return 1;
    }
    body(&jobs[0]);
    for (int i = 1; i < threads; i++) pthread_join(ids[i], NULL);
    for (int kind = 0; kind < KINDS; kind++) {
        double best = 0;
        for (int round = 0; round < rounds; round++) {
            double rate = 0;
            for (int i = 0; i < threads; i++) rate += jobs[i].rate[kind][round];
            if (rate > best) best = rate;
        }
        printf("%.1f%c", best, kind + 1 < KINDS ? ' ' : '\n');
    }
    return jobs[0].sum == 12345 ? 2 : 0;
}

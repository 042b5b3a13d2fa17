/* Runs one work through the C ABI, driven by lines on standard input.
 *   usp-bench FAMILY TASK MODEL BATCH SIZE f32|bf16 THREADS FOLDER TILE RECOMPUTE ITERATIONS LAST
 * Commands: `run N` (N timed runs), `output PATH` (the first result as f32), `memory`, `quit`.
 * When the first result is there it says `ready` and the seconds of its last run; a training
 * work's result is the losses of its first steps.
 * With the environment variable BENCH_ONCE it ends after the first result (cold start). */
#include "usp.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MUST(call) \
    do { \
        if ((call) != USP_OK) fail(usp_last_error()); \
    } while (0)

/* Of MAR: copies of the loss, reverse steps of a token; of DINOv2-B: width; of VA-VAE: channels. */
enum { CLASSES = 1000, LABELS = 150, STEPS = 3, COPIES = 4, REVERSE = 100, WIDTH = 768, ALIGNED = 32 };
static const double GUIDANCE = 2.9;

typedef struct {
    const char *family, *task, *folder;
    int64_t batch, size;
    int32_t tile, recompute;
    int64_t iterations, last_steps;
    usp_model *model;
    usp_trainer *trainer;
    usp_tensor x, t, y, noise, mask, orders, out;
} work;

static void fail(const char *why) {
    printf("error %s\n", why);
    fflush(stdout);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }

static size_t count(const usp_tensor *tensor) {
    size_t n = 1;
    for (int32_t i = 0; i < tensor->rank; i++) n *= (size_t)tensor->shape[i];
    return n;
}

/* A tensor of this shape (extents after the first may be 0: absent), filled from FOLDER/name. */
static usp_tensor array_of(const work *w, const char *name, usp_dtype dtype,
                           const int64_t shape[5]) {
    usp_tensor r = {NULL, {0}, {0}, 0, dtype};
    while (r.rank < 5 && (r.rank == 0 || shape[r.rank] > 0)) {
        r.shape[r.rank] = shape[r.rank];
        r.rank++;
    }
    const size_t bytes = count(&r) * usp_dtype_size(dtype);
    r.data = malloc(bytes);
    if (!r.data) fail("out of memory");
    if (name) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", w->folder, name);
        FILE *file = fopen(path, "rb");
        if (!file || fread(r.data, 1, bytes, file) != bytes) fail(path);
        fclose(file);
    }
    return r;
}

static usp_tensor array(const work *w, const char *name, usp_dtype dtype, int64_t a, int64_t b,
                        int64_t c, int64_t d) {
    return array_of(w, name, dtype, (const int64_t[]){a, b, c, d, 0});
}

/* Times are integers in the inputs; forward passes of DiT and training steps take floats. */
static usp_tensor times(const work *w, int64_t a, int64_t b, int64_t c) {
    usp_tensor whole = array(w, "t.i64", USP_I64, a, b, c, 0);
    usp_tensor r = array(w, NULL, USP_F32, a, b, c, 0);
    MUST(usp_tensor_copy(&whole, &r));
    free(whole.data);
    return r;
}

static void read_tokens(work *w) {
    const int64_t b = w->batch, s = w->size, tokens = s * s;
    const int64_t copies = is(w->task, "sample") ? REVERSE : COPIES;
    w->x = array(w, "x.f32", USP_F32, b, 16, s, s);
    w->y = array(w, "y.i64", USP_I64, b, 0, 0, 0);
    w->noise = array_of(w, "noise.f32", USP_F32, (const int64_t[]){copies, b, 16, s, s});
    if (is(w->task, "sample")) {
        w->orders = array(w, "orders.i64", USP_I64, b, tokens, 0, 0);
        w->out = array(w, NULL, USP_F32, b, 16, s, s);
    } else {
        w->mask = array(w, "mask.f32", USP_F32, b, tokens, 0, 0);
        w->t = is(w->task, "train") ? times(w, copies, b, tokens)
                                    : array(w, "t.i64", USP_I64, copies, b, tokens, 0);
        w->out = array(w, NULL, USP_F32, 1, 0, 0, 0);
    }
}

static void read_inputs(work *w) {
    const int64_t b = w->batch, s = w->size, half = s / 2;
    if (is(w->family, "mar")) {
        read_tokens(w);
        return;
    }
    if (is(w->family, "vae")) {
        const int encode = is(w->task, "encode");
        const int64_t small = s / 8;
        w->x = encode ? array(w, "x.f32", USP_F32, b, 3, s, s)
                      : array(w, "x.f32", USP_F32, b, 4, small, small);
        w->out = encode ? array(w, NULL, USP_F32, b, 4, small, small)
                        : array(w, NULL, USP_F32, b, 3, s, s);
        return;
    }
    if (is(w->family, "inception")) {
        w->x = array(w, "x.u8", USP_U8, b, s, s, 3);
        w->out = array(w, NULL, USP_F32, b, 2048, 0, 0);
        return;
    }
    const int lightning = is(w->family, "lightning"), dinov2 = is(w->family, "dinov2");
    w->x = array(w, "x.f32", USP_F32, b, lightning ? ALIGNED : dinov2 ? 3 : 4, s, s);
    if (lightning) {
        w->t = array(w, "t.f32", USP_F32, b, 0, 0, 0);
        w->y = array(w, "y.i64", USP_I64, b, 0, 0, 0);
        w->out = array(w, NULL, USP_F32, b, ALIGNED, s, s);
    }
    if (dinov2) w->out = array(w, NULL, USP_F32, b, WIDTH, 0, 0);
    if (is(w->family, "vit")) w->out = array(w, NULL, USP_F32, b, CLASSES, 0, 0);
    if (is(w->family, "segmenter")) w->out = array(w, NULL, USP_F32, b, LABELS, 2 * s, 2 * s);
    if (is(w->family, "mae")) w->noise = array(w, "noise.f32", USP_F32, b, half * half, 0, 0);
    if (is(w->family, "dit")) {
        w->t = times(w, b, 0, 0);
        w->y = array(w, "y.i64", USP_I64, b, 0, 0, 0);
        w->noise = array(w, "noise.f32", USP_F32, b, 4, s, s);
        w->out = array(w, NULL, USP_F32, b, 8, s, s);
    }
}

static void open_model(work *w, const char *dtype) {
    char path[4096];
    snprintf(path, sizeof path, "%s/weights.safetensors", w->folder);
    usp_model_options options = USP_MODEL_OPTIONS_INIT;
    options.compute = dtype;
    options.pool = is(w->family, "vit") ? "token" : NULL;
    MUST(usp_model_open(path, &options, &w->model));
    if (!is(w->task, "train")) return;
    usp_trainer_options training = USP_TRAINER_OPTIONS_INIT;
    training.dtype = dtype;
    training.recompute = (const char *[]){"nothing", "blocks", "hidden"}[w->recompute % 3];
    if (is(w->family, "dit")) {
        training.average_decay = 0.9999f;
    } else if (is(w->family, "mar")) {
        training.average_decay = 0.9999;
        training.beta2 = 0.95;
        training.weight_decay = 0.02;
        training.clip_norm = 3;
    } else {
        training.beta2 = 0.95f;
        training.weight_decay = 0.05f;
    }
    MUST(usp_trainer_create(w->model, &training, &w->trainer));
    usp_model_free(w->model);
    w->model = NULL;
    free(w->out.data);
    w->out = array(w, NULL, USP_F32, 1, 0, 0, 0);
}

static void run_tokens(work *w) {
    if (is(w->task, "sample")) {
        usp_mar_sample_options options = USP_MAR_SAMPLE_OPTIONS_INIT;
        options.iterations = w->iterations;
        options.cfg_scale = GUIDANCE;
        options.orders = &w->orders;
        options.z = &w->x;
        options.noise = &w->noise;
        if (w->last_steps) {
            options.respacing = "50";
            options.last_steps = w->last_steps;
        }
        MUST(usp_mar_sample(w->model, &w->y, &options, &w->out));
    } else {
        usp_mar_options options = USP_MAR_OPTIONS_INIT;
        options.mask = &w->mask;
        options.times = &w->t;
        options.noise = &w->noise;
        MUST(usp_mar_forward(w->model, &w->x, &w->y, &options, w->out.data, NULL, NULL));
    }
}

static void run(work *w) {
    const int mar = is(w->family, "mar");
    if (w->trainer) {
        const int labelled = mar || is(w->family, "dit");
        usp_batch batch = USP_BATCH_INIT;
        batch.inputs = &w->x;
        batch.labels = labelled ? &w->y : NULL;
        batch.times = labelled ? &w->t : NULL;
        batch.noise = &w->noise;
        batch.mask = mar ? &w->mask : NULL;
        MUST(usp_trainer_step(w->trainer, &batch, w->out.data));
    } else if (mar) {
        run_tokens(w);
    } else if (is(w->family, "dinov2")) {
        MUST(usp_vit_features(w->model, &w->x, &w->out));
    } else if (is(w->family, "dit") || is(w->family, "lightning")) {
        MUST(usp_dit_forward(w->model, &w->x, &w->t, &w->y, &w->out));
    } else if (is(w->family, "vit")) {
        MUST(usp_vit_logits(w->model, &w->x, &w->out));
    } else if (is(w->family, "inception")) {
        MUST(usp_inception_features(w->model, &w->x, NULL, &w->out, NULL, NULL));
    } else if (is(w->family, "segmenter")) {
        MUST(usp_segmenter_logits(w->model, &w->x, &w->out));
    } else {
        usp_vae_options options = USP_VAE_OPTIONS_INIT;
        options.scaled = 0;
        options.tile = w->tile;
        if (is(w->task, "encode")) MUST(usp_vae_encode(w->model, &w->x, &options, &w->out, NULL));
        else MUST(usp_vae_decode(w->model, &w->x, &options, &w->out));
    }
}

static double memory(void) {
    char line[256];
    long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "VmHWM: %ld", &kilobytes);
    if (file) fclose(file);
    return (double)kilobytes / 1024;
}

static void write_floats(const char *path, const float *values, size_t n) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(values, sizeof *values, n, file) != n) fail(path);
    fclose(file);
    printf("ok\n");
}

static double timed(work *w) {
    const double begin = now();
    run(w);
    return now() - begin;
}

static void serve(work *w, const float *first, size_t values) {
    char line[4096], path[4096];
    int runs;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "run %d", &runs) == 1) {
            printf("ok");
            for (int i = 0; i < runs; i++) printf(" %.9f", timed(w));
            printf("\n");
        } else if (sscanf(line, "output %4095s", path) == 1) {
            write_floats(path, first, values);
        } else if (is(line, "memory\n")) {
            printf("ok %.1f\n", memory());
        } else {
            return;
        }
        fflush(stdout);
    }
}

/* The first results, one after another: all steps' of a training work. */
static float *first_results(work *w, size_t *values, double *seconds) {
    const size_t n = count(&w->out), steps = w->trainer ? STEPS : 1;
    float *all = malloc(n * steps * sizeof *all);
    if (!all) fail("out of memory");
    for (size_t i = 0; i < steps; i++) {
        *seconds = timed(w);
        memcpy(all + i * n, w->out.data, n * sizeof *all);
    }
    *values = n * steps;
    return all;
}

int main(int argc, char **argv) {
    if (argc != 13) fail("usage: usp-bench FAMILY TASK MODEL BATCH SIZE DTYPE THREADS FOLDER TILE "
                         "RECOMPUTE ITERATIONS LAST_STEPS");
    work w = {.family = argv[1], .task = argv[2], .folder = argv[8], .batch = atoll(argv[4]),
              .size = atoll(argv[5]), .tile = atoi(argv[9]),
              .recompute = atoi(argv[10]), .iterations = atoll(argv[11]),
              .last_steps = atoll(argv[12])};
    MUST(usp_set_threads(atoi(argv[7])));
    read_inputs(&w);
    open_model(&w, argv[6]);
    size_t values;
    double seconds;
    float *first = first_results(&w, &values, &seconds);
    printf("ready %.9f\n", seconds);
    fflush(stdout);
    if (!getenv("BENCH_ONCE")) serve(&w, first, values);
    return 0;
}

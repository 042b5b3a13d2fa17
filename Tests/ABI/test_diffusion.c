/* diffusion and denoiser: handles, options by size, callbacks that fail, cancel. */
#include "check.h"

#include <math.h>

enum { ELEMENTS = 2 * 1 * 2 * 2 };

typedef struct {
    int calls, fail_at;
} counter;

/* Predicts nothing and the smallest variance. */
static int32_t zeros(const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
                     usp_tensor *out, void *user) {
    counter *count = user;
    (void)y;
    if (x->rank != 4 || t->rank != 1 || t->shape[0] != x->shape[0]) return 5;
    size_t elements = (size_t)(out->shape[0] * out->shape[1] * out->shape[2] * out->shape[3]);
    memset(out->data, 0, elements * sizeof(float));
    return ++count->calls == count->fail_at ? 42 : 0;
}

static int32_t stop_at_three(const usp_progress *progress, void *user) {
    *(int64_t *)user = progress->steps;
    return progress->step == 3;
}

static void options_by_size(void) {
    struct {
        usp_diffusion_options options;
        uint32_t newer;
    } large = {USP_DIFFUSION_OPTIONS_INIT, 0};
    usp_diffusion *diffusion = NULL;
    large.options.struct_size = sizeof large;
    EXPECT_OK(usp_diffusion_create(&large.options, &diffusion));
    usp_diffusion_free(diffusion);
    large.newer = 7;
    EXPECT_STATUS(usp_diffusion_create(&large.options, &diffusion), USP_ERROR_UNSUPPORTED, "older");
    large.options.struct_size = 0;
    EXPECT_STATUS(usp_diffusion_create(&large.options, &diffusion), USP_ERROR_ARGUMENT, "INIT");
    usp_diffusion_options old = USP_DIFFUSION_OPTIONS_INIT;
    old.struct_size = 16;
    old.training_steps = 100;
    old.schedule = "beyond what the old caller has";
    EXPECT_OK(usp_diffusion_create(&old, &diffusion));
    EXPECT(usp_diffusion_steps(diffusion) == 100);
    usp_diffusion_free(diffusion);
    old.training_steps = -3;
    EXPECT_STATUS(usp_diffusion_create(&old, &diffusion), USP_ERROR_ARGUMENT,
                  "training_steps: -3, expected a whole number of 1 to 1000000");
}

static void handles(void) {
    usp_diffusion *diffusion = NULL;
    EXPECT_STATUS(usp_diffusion_create(NULL, NULL), USP_ERROR_ARGUMENT, "out: is NULL");
    EXPECT_OK(usp_diffusion_create(NULL, &diffusion));
    EXPECT(usp_diffusion_steps(diffusion) == 1000);
    EXPECT(usp_diffusion_steps(NULL) == 0 && strstr(usp_last_error(), "is NULL"));
    usp_diffusion_free(diffusion);
    EXPECT(usp_diffusion_steps(diffusion) == 0 && strstr(usp_last_error(), "not a live"));
    usp_diffusion_free(diffusion);
    usp_diffusion_free(NULL);
    usp_diffusion_free((usp_diffusion *)0xdead);
    EXPECT(usp_diffusion_steps((usp_diffusion *)&diffusion) == 0);
}

static void callbacks(void) {
    usp_diffusion_options process = USP_DIFFUSION_OPTIONS_INIT;
    process.respacing = "10";
    usp_diffusion *diffusion = NULL;
    EXPECT_OK(usp_diffusion_create(&process, &diffusion));
    float noise[ELEMENTS], result[ELEMENTS], wrong[4];
    usp_tensor z = tensor(noise, USP_F32, SHAPE(2, 1, 2, 2));
    usp_tensor out = tensor(result, USP_F32, SHAPE(2, 1, 2, 2));
    EXPECT_OK(usp_random_normal(1, &z));

    counter count = {0, 0};
    usp_denoiser denoiser = USP_DENOISER_INIT;
    usp_sample_options run = USP_SAMPLE_OPTIONS_INIT;
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, NULL, &out),
                  USP_ERROR_ARGUMENT, "neither model nor function");
    EXPECT_STATUS(usp_diffusion_sample(diffusion, NULL, &z, NULL, NULL, &out), USP_ERROR_ARGUMENT,
                  "denoiser: is NULL");
    denoiser.function = zeros;
    denoiser.user = &count;
    EXPECT_OK(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, NULL, &out));
    EXPECT(count.calls == 10);

    count.fail_at = 14;
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, NULL, &out),
                  USP_ERROR_CALLBACK, "returned 42");
    EXPECT(count.calls == 14);

    int64_t steps = 0;
    run.progress = stop_at_three;
    run.progress_user = &steps;
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_CANCELLED, "progress");
    EXPECT(count.calls == 17 && steps == 10);

    run.progress = NULL;
    run.eta = (float)NAN;
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT, "eta: nan, expected a number of 0 to 1");
    run.eta = 0;
    denoiser.cfg_scale = INFINITY;
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT, "cfg_scale: inf, expected a number");
    denoiser.cfg_scale = 2;
    denoiser.cfg_begin = 5;
    denoiser.cfg_end = 1;
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT, "cfg_interval: 5.0 to 1.0, expected the earlier time first");
    denoiser.cfg_begin = denoiser.cfg_end = USP_ABSENT;
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT, "null_class: the model has none");
    denoiser.cfg_scale = 1;
    run.norm = 0;
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT,
                  "norm: has no part in the solver ddpm, only in sde, sde-heun");
    run.norm = 1;
    run.steps = 20;
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT, "steps: 20");
    run.steps = -1;
    run.method = "nonsense";
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT, "ddim");
    run.method = "\xff\xfe";
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT, "not UTF-8");

    int64_t labels[3] = {0, 1, 2};
    usp_tensor y = tensor(labels, USP_I64, SHAPE(3));
    usp_tensor small = tensor(wrong, USP_F32, SHAPE(1, 1, 2, 2));
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, &y, NULL, &out), USP_ERROR_SHAPE,
                  "y: shape [3], expected [2]");
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, NULL, &small),
                  USP_ERROR_SHAPE, "out: shape");
    usp_diffusion_free(diffusion);
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &z, NULL, NULL, &out),
                  USP_ERROR_ARGUMENT, "not a live usp_diffusion");
}

void test_diffusion(void) {
    options_by_size();
    handles();
    callbacks();
}

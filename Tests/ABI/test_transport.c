/* transport: a function of C as the denoiser, intervals, likelihood, losses, the bound,
 * refusals. */
#include "check.h"

#include <math.h>

enum { BATCH = 2, SAMPLE = 4, ELEMENTS = BATCH * SAMPLE };

typedef struct {
    int calls, nan_at;
    float slope;
} field;

/* out = slope * x, NaN in one call. */
static int32_t linear(const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
                      usp_tensor *out, void *user) {
    field *given = user;
    const float *from = x->data;
    float *to = out->data;
    (void)t;
    (void)y;
    given->calls++;
    for (int i = 0; i < ELEMENTS; i++)
        to[i] = given->calls == given->nan_at ? NAN : given->slope * from[i];
    return 0;
}

static int32_t halve(usp_tensor *start, void *user) {
    float *values = start->data;
    (*(int *)user)++;
    for (int i = 0; i < ELEMENTS; i++) values[i] *= 0.5f;
    return 0;
}

static int32_t refuse(usp_tensor *start, void *user) {
    (void)start;
    (void)user;
    return 3;
}

static int32_t count_previews(const usp_progress *progress, void *user) {
    if (progress->latents) (*(int *)user)++;
    return 0;
}

static void flows(void) {
    float noise[ELEMENTS], result[ELEMENTS], back[ELEMENTS], logp[BATCH];
    usp_tensor z = tensor(noise, USP_F32, SHAPE(BATCH, 1, 2, 2));
    usp_tensor out = tensor(result, USP_F32, SHAPE(BATCH, 1, 2, 2));
    usp_tensor again = tensor(back, USP_F32, SHAPE(BATCH, 1, 2, 2));
    usp_tensor values = tensor(logp, USP_F32, SHAPE(BATCH));
    field given = {0, 0, -0.5f};
    usp_denoiser denoiser = USP_DENOISER_INIT;
    denoiser.function = linear;
    denoiser.user = &given;
    usp_sample_options run = USP_SAMPLE_OPTIONS_INIT;
    usp_transport *transport = NULL;
    EXPECT_OK(usp_random_normal(1, &z));
    EXPECT_OK(usp_transport_create(NULL, &transport));

    usp_tensor scales = tensor(NULL, USP_F32, SHAPE(0));
    denoiser.cfg_scales = &scales;
    EXPECT_STATUS(usp_transport_sample_ode(transport, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_SHAPE, "cfg_scales: shape [0]");
    denoiser.cfg_scales = NULL;

    run.rtol = 1e-5;
    EXPECT_OK(usp_transport_sample_ode(transport, &denoiser, &z, NULL, &run, &out));
    EXPECT_OK(usp_transport_invert_ode(transport, &denoiser, &out, NULL, &run, &again));
    for (int i = 0; i < ELEMENTS; i++) {
        EXPECT(fabsf(result[i] - expf(-0.5f) * noise[i]) < 1e-4f);
        EXPECT(fabsf(back[i] - noise[i]) < 1e-4f);
    }
    /* log p(x) = log N(z) - (the divergence along the way) */
    EXPECT_OK(usp_transport_likelihood(transport, &denoiser, &out, NULL, &run, &values, &again));
    for (int sample = 0; sample < BATCH; sample++) {
        double prior = -0.5 * SAMPLE * log(2 * 3.14159265358979);
        for (int i = 0; i < SAMPLE; i++)
            prior -= 0.5 * noise[sample * SAMPLE + i] * noise[sample * SAMPLE + i];
        EXPECT(fabs(logp[sample] - (prior + 0.5 * SAMPLE)) < 1e-3);
    }

    given.calls = 0;
    given.nan_at = 3;
    run.method = "euler";
    run.steps = 6;
    EXPECT_STATUS(usp_transport_sample_ode(transport, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT, "rtol: has no part in the solver euler, only in dopri5");
    run.rtol = 1e-3;
    EXPECT_STATUS(usp_transport_sample_ode(transport, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_NOT_FINITE, "step 3 of 5");
    run.method = "eular";
    EXPECT_STATUS(usp_transport_sample_ode(transport, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT, "did you mean \"euler\"");
    run.method = NULL;
    run.form = "sigmoid";
    EXPECT_STATUS(usp_transport_sample_sde(transport, &denoiser, &z, NULL, &run, &out),
                  USP_ERROR_ARGUMENT, "increasing-decreasing");
    run.form = "constant";
    given.nan_at = 0;
    EXPECT_OK(usp_transport_sample_sde(transport, &denoiser, &z, NULL, &run, &out));

    /* What INIT wrote is meant: a norm of 1, a preview each ten steps and at the end. */
    int previews = 0;
    run.steps = 19;
    run.preview = count_previews;
    run.preview_user = &previews;
    EXPECT_OK(usp_transport_sample_sde(transport, &denoiser, &z, NULL, &run, &out));
    EXPECT(previews == 2);
    run.norm = 1;
    EXPECT_OK(usp_transport_sample_sde(transport, &denoiser, &z, NULL, &run, &again));
    EXPECT(memcmp(result, back, sizeof result) == 0);
    run.norm = 0; /* a value: no noise at all, whatever the seed */
    EXPECT_OK(usp_transport_sample_sde(transport, &denoiser, &z, NULL, &run, &out));
    run.seed = 1;
    EXPECT_OK(usp_transport_sample_sde(transport, &denoiser, &z, NULL, &run, &again));
    EXPECT(memcmp(result, back, sizeof result) == 0);
    run.seed = 0;
    run.norm = 1;
    EXPECT_OK(usp_transport_sample_sde(transport, &denoiser, &z, NULL, &run, &out));
    run.norm = 2;
    EXPECT_OK(usp_transport_sample_sde(transport, &denoiser, &z, NULL, &run, &again));
    EXPECT(memcmp(result, back, sizeof result) != 0);
    usp_transport_free(transport);
}

static void intervals(void) {
    usp_transport *transport = NULL;
    usp_sample_options run = USP_SAMPLE_OPTIONS_INIT;
    char note[80], little[8];
    double start = 0, end = 0;
    size_t length = 0;
    EXPECT_OK(usp_transport_create(NULL, &transport));
    EXPECT_OK(usp_transport_interval(transport, 0, NULL, &start, &end, note, sizeof note, &length));
    EXPECT(start == 0 && end == 1 && length == 0 && note[0] == 0);
    run.form = "SBDM";
    EXPECT_OK(usp_transport_interval(transport, 1, &run, &start, &end, note, sizeof note, &length));
    EXPECT(start == 0.001 && length == strlen(note) && strstr(note, "t = 0.001"));
    EXPECT_OK(
        usp_transport_interval(transport, 1, &run, &start, &end, little, sizeof little, NULL));
    EXPECT(strlen(little) == sizeof little - 1);
    EXPECT_STATUS(usp_transport_interval(transport, 1, &run, NULL, &end, NULL, 0, NULL),
                  USP_ERROR_ARGUMENT, "out_start");
    usp_transport_free(transport);
    usp_transport_options options = USP_TRANSPORT_OPTIONS_INIT;
    options.path = "Linaer";
    EXPECT_STATUS(usp_transport_create(&options, &transport), USP_ERROR_ARGUMENT,
                  "did you mean \"Linear\"");
}

static void bound(void) {
    float data[ELEMENTS], total[BATCH], terms[BATCH * 5], result[ELEMENTS];
    usp_tensor x = tensor(data, USP_F32, SHAPE(BATCH, 1, 2, 2));
    usp_tensor out = tensor(result, USP_F32, SHAPE(BATCH, 1, 2, 2));
    usp_tensor sums = tensor(total, USP_F32, SHAPE(BATCH));
    usp_tensor steps = tensor(terms, USP_F32, SHAPE(BATCH, 5));
    usp_diffusion_options process = USP_DIFFUSION_OPTIONS_INIT;
    usp_diffusion *diffusion = NULL;
    field given = {0, 0, 0.1f};
    int changed = 0;
    usp_denoiser denoiser = USP_DENOISER_INIT;
    usp_sample_options run = USP_SAMPLE_OPTIONS_INIT;
    process.respacing = "5";
    process.variance = "fixed-small";
    denoiser.function = linear;
    denoiser.user = &given;
    EXPECT_OK(usp_random_normal(1, &x));
    EXPECT_OK(usp_diffusion_create(&process, &diffusion));
    EXPECT_OK(usp_diffusion_bits_per_dimension(diffusion, &denoiser, &x, NULL, NULL, &sums, NULL,
                                               &steps, NULL, NULL));
    EXPECT(given.calls == 5 && isfinite(total[0]) && total[0] > 0);
    float sum = 0;
    for (int i = 0; i < 5; i++) sum += terms[i];
    EXPECT(total[0] >= sum && total[0] < sum * 1.01f + 0.01f);
    EXPECT_STATUS(usp_diffusion_bits_per_dimension(diffusion, &denoiser, &x, NULL, NULL, NULL, NULL,
                                                   NULL, NULL, NULL),
                  USP_ERROR_ARGUMENT, "out_total: is NULL");
    EXPECT_STATUS(usp_diffusion_bits_per_dimension(diffusion, &denoiser, &x, NULL, NULL, &sums,
                                                   NULL, &sums, NULL, NULL),
                  USP_ERROR_SHAPE, "out_vb: shape [2], expected [2, 5]");

    run.adjust_start = halve;
    run.adjust_user = &changed;
    EXPECT_OK(usp_diffusion_sample(diffusion, &denoiser, &x, NULL, &run, &out));
    EXPECT(changed == 5);
    run.adjust_start = refuse;
    EXPECT_STATUS(usp_diffusion_sample(diffusion, &denoiser, &x, NULL, &run, &out),
                  USP_ERROR_CALLBACK, "adjust_start");
    usp_diffusion_free(diffusion);
}

void test_transport(void) {
    flows();
    intervals();
    bound();
}

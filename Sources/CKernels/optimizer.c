/* One pass over parameter, gradient and state: the update is bound by memory, so everything that
 * reads a parameter happens while it is in a register. */
#include "optimizer.h"
#include "dispatch.h"
#include <math.h>

USPI_DISPATCH(
    void, uspi_adamw_run,
    (const uspi_adamw *o, float *restrict p, const float *restrict g, float *restrict m,
     float *restrict v, float *restrict ema, ptrdiff_t n),
    (o, p, g, m, v, ema, n), {
        const float b1 = o->beta1, b2 = o->beta2, eps = o->epsilon, scale = o->gradient_scale;
        const float keep = 1 - o->rate * o->decay, step = o->rate / o->correction1;
        const float root = 1 / o->correction2_root;
        for (ptrdiff_t i = 0; i < n; i++) {
            float gi = g[i] * scale;
            float mi = b1 * m[i] + (1 - b1) * gi;
            float vi = b2 * v[i] + (1 - b2) * gi * gi;
            m[i] = mi;
            v[i] = vi;
            p[i] = p[i] * keep - step * mi / (__builtin_sqrtf(vi) * root + eps);
        }
        if (ema) {
            const float d = o->ema_decay;
            for (ptrdiff_t i = 0; i < n; i++) ema[i] = d * ema[i] + (1 - d) * p[i];
        }
    })

USPI_DISPATCH(
    void, uspi_lars_run,
    (float rate, float momentum, float decay, float trust, float scale, float ema_decay,
     float *restrict p, const float *restrict g, float *restrict mu, float *restrict ema,
     ptrdiff_t n),
    (rate, momentum, decay, trust, scale, ema_decay, p, g, mu, ema, n), {
        for (ptrdiff_t i = 0; i < n; i++) {
            float update = momentum * mu[i] + trust * (scale * g[i] + decay * p[i]);
            mu[i] = update;
            p[i] -= rate * update;
        }
        if (ema)
            for (ptrdiff_t i = 0; i < n; i++) ema[i] = ema_decay * ema[i] + (1 - ema_decay) * p[i];
    })

/* Sixteen sums, added at the end in a fixed order: the same for every instruction set. */
USPI_DISPATCH(
    double, uspi_sum_squares,
    (const float *g, const float *p, float scale, float decay, ptrdiff_t n),
    (g, p, scale, decay, n), {
        double sums[16] = {0};
        for (ptrdiff_t i = 0; i < n; i += 16) {
            ptrdiff_t lanes = n - i < 16 ? n - i : 16;
            for (ptrdiff_t j = 0; j < lanes; j++) {
                double x = (double)(scale * g[i + j]) + (p ? (double)(decay * p[i + j]) : 0);
                sums[j] += x * x;
            }
        }
        double total = 0;
        for (int j = 0; j < 16; j++) total += sums[j];
        return total;
    })

/* Fused parameter updates over one range of the slabs, f32. */
#ifndef USPI_OPTIMIZER_H
#define USPI_OPTIMIZER_H
#include <stddef.h>

/* AdamW (Loshchilov and Hutter 2019) as torch.optim.AdamW computes it, with the gradient's scale
 * and the exponential moving average in the same pass; ema may be NULL. */
typedef struct uspi_adamw {
    float rate, beta1, beta2, epsilon, decay;
    float correction1, correction2_root;  /* 1 - beta1^t, sqrt(1 - beta2^t) */
    float gradient_scale, ema_decay;
} uspi_adamw;
void uspi_adamw_run(const uspi_adamw *o, float *p, const float *g, float *m, float *v, float *ema,
                    ptrdiff_t n);

/* mu = momentum * mu + trust * (scale * g + decay * p); p -= rate * mu; ema likewise or NULL */
void uspi_lars_run(float rate, float momentum, float decay, float trust, float scale,
                   float ema_decay, float *p, const float *g, float *mu, float *ema, ptrdiff_t n);

/* Sum of squares of scale * g + decay * p (p may be NULL), in double. */
double uspi_sum_squares(const float *g, const float *p, float scale, float decay, ptrdiff_t n);

#endif

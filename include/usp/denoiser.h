/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_DENOISER_H
#define USP_DENOISER_H

#include "model.h"

USP_BEGIN_DECLARATIONS

/* ---- denoiser: what a sampler or a loss asks; a model of the library, or your function ---- */

/* Predict from noisy latents.
 *   x    [B, C, H, W]  f32  view
 *   t    [B]           f32  one time a sample, on the model's scale: 0 ... 999 or 0 ... 1
 *   y    [B]           i64  labels; NULL if the run has none
 *   out  [B, O, H, W]  f32  to be filled; O = out_channels: first the C of the prediction; of 2C
 *                           the rest are the variances, -1 ... 1 between the least and the largest
 *                           ("learned-range") or their logarithms ("learned")
 * With guidance B is twice the run's: conditional samples first, then the same with the null class.
 * Return 0; anything else ends the run with USP_ERROR_CALLBACK. */
typedef int32_t (*usp_denoise_fn)(const usp_tensor *x, const usp_tensor *t, const usp_tensor *y,
                                  usp_tensor *out, void *user);

typedef struct usp_denoiser {
    uint32_t struct_size;
    int32_t out_channels;      /* of function: O above; 0 = what the process needs (C, or 2C where
                                  variances are learned) */
    const usp_model *model;    /* a DiT or SiT, borrowed for the call; or NULL, and then: */
    usp_denoise_fn function;
    void *user;
    float guidance;            /* classifier-free scale; 0 or 1 = off. The run then needs y */
    int32_t guidance_channels; /* leading channels that guidance moves; 0 = 3, as the originals do;
                                  C or more = all */
    float guidance_begin;      /* guide only at times from begin to end, on the model's scale; */
    float guidance_end;        /* 0 and 0 = always */
    int64_t null_class;        /* of function, with guidance; a model knows its own */
    const usp_tensor *guidance_scales; /* [B] f32: a scale for each sample, in place of guidance */
} usp_denoiser;

#define USP_DENOISER_INIT \
    {USP_OPTIONS_SIZE(usp_denoiser), 0, NULL, NULL, NULL, 0, 0, 0, 0, 0, NULL}

USP_END_DECLARATIONS

#endif /* USP_DENOISER_H */

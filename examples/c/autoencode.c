/* Encode an image into latents and decode it again. */
#include "common.h"

#include <math.h>

enum { SIDE = 32, FACTOR = 4, CHANNELS = 4 };

int main(void) {
    usp_model *vae = NULL;
    /* "kl-f8" is Stable Diffusion's; usp_model_open("vae.safetensors", NULL, &vae) loads one. */
    TRY(usp_model_create("VAE", "base_width=16 groups=8 multipliers=1,2,2", 1, &vae));

    /* A picture of circles, in -1 ... 1. */
    static float picture[3 * SIDE * SIDE], again[3 * SIDE * SIDE];
    for (int i = 0; i < 3 * SIDE * SIDE; i++) {
        double x = i % SIDE - SIDE / 2.0, y = i / SIDE % SIDE - SIDE / 2.0;
        picture[i] = (float)sin(0.5 * sqrt(x * x + y * y) + i / (SIDE * SIDE));
    }
    static float mean[CHANNELS * SIDE * SIDE / FACTOR / FACTOR];
    usp_tensor input = images(picture, 1, 3, SIDE, SIDE);
    usp_tensor latents = images(mean, 1, CHANNELS, SIDE / FACTOR, SIDE / FACTOR);
    usp_tensor output = images(again, 1, 3, SIDE, SIDE);
    TRY(usp_vae_encode(vae, &input, NULL, &latents, NULL));
    TRY(usp_vae_decode(vae, &latents, NULL, &output));

    double error = 0;
    for (int i = 0; i < 3 * SIDE * SIDE; i++) error += pow(again[i] - picture[i], 2);
    printf("%d pixels became %d latents; mean squared error %.3f, as nobody has trained it yet\n",
           SIDE * SIDE,
           (int)(sizeof mean / sizeof *mean), error / (3 * SIDE * SIDE));
    usp_model_free(vae);
    return 0;
}

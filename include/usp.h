/* usp.h: the C interface of libusp, and its manual.
 *
 * usp pretrains vision transformers by masked latent modelling, moves their weights into diffusion
 * transformers and classifiers, trains those, samples from them and measures the result; all on a
 * CPU, in one shared library that needs neither Swift nor Python at run time.
 *
 * EXAMPLE  Draw four images' latents from a checkpoint (errors shortened to one macro):
 *
 *     #include "usp.h"
 *     #define TRY(call) if ((call) != USP_OK) { puts(usp_last_error()); return 1; }
 *
 *     int main(void) {
 *         usp_model *model = NULL;
 *         TRY(usp_model_open("SiT-XL-2-256x256.pt", NULL, &model));
 *         int64_t classes[4] = {207, 360, 387, 974};
 *         static float noise[4 * 4 * 32 * 32], latents[4 * 4 * 32 * 32];
 *         usp_tensor y = {classes, {4}, {0}, 1, USP_I64};
 *         usp_tensor z = {noise, {4, 4, 32, 32}, {0}, 4, USP_F32};
 *         usp_tensor x = {latents, {4, 4, 32, 32}, {0}, 4, USP_F32};
 *         TRY(usp_random_normal(7, &z));
 *         usp_transport *transport = NULL;
 *         TRY(usp_transport_create(NULL, &transport));
 *         usp_denoiser denoiser = USP_DENOISER_INIT;
 *         denoiser.model = model;
 *         TRY(usp_transport_sample_ode(transport, &denoiser, &z, &y, NULL, &x));
 *         usp_transport_free(transport);
 *         usp_model_free(model);
 *         return 0;
 *     }
 *
 * THREE CONTRACTS hold everywhere; a function's comment states only what deviates.
 *
 * 1. Errors. A function that can fail returns usp_status. Anything but USP_OK leaves a sentence in
 *    usp_last_error() on the same thread, and leaves outputs unspecified and handles usable. NULL
 *    for a required pointer, a handle that was freed or is of another kind, a wrong shape or
 *    dtype: all of these are errors, never crashes. No function writes to a terminal or ends the
 *    process. A function that returns void cannot fail; one that returns a value directly is a
 *    getter, which for a bad handle gives 0 or NULL (and sets usp_last_error()).
 *
 * 2. Ownership. Three words say who frees what:
 *      borrowed  the library uses the memory during the call only (every input, unless stated);
 *      owned     the caller frees it with the matching _free function (every `**out`);
 *      view      it belongs to its parent and is valid until the parent is freed.
 *    Output arrays are allocated by the caller. _free functions accept NULL. A child keeps its
 *    parents alive, so handles may be freed in any order.
 *
 * 3. Threads. usp_checkpoint, usp_model, usp_diffusion, usp_transport, usp_data,
 *    usp_ranks and usp_transfer_plan do not change once created: any number of threads may use one at the same time. A usp_trainer takes
 *    one thread at a time, except where a function says otherwise. All calls share one pool of
 *    threads (usp_set_threads). The same inputs, seed and CPU give the same bits, whatever the
 *    number of threads. Callbacks run on the calling thread, between steps, without locks: they
 *    may call anything, but must not free or re-enter the running object, and must not longjmp or
 *    throw through the library. A child of fork may go on, on threads of its own, whatever others
 *    were computing; a trainer that was in a step on another thread stays busy there.
 *
 * Letters in shapes: B batch (1 or more), C channels, H height, W width, T tokens, D width of a
 * token, E values of a patch, N heads, K classes, L layers. */
#ifndef USP_H
#define USP_H

#include "usp/base.h"
#include "usp/checkpoint.h"
#include "usp/image.h"
#include "usp/model.h"
#include "usp/vae.h"
#include "usp/mae.h"
#include "usp/vit.h"
#include "usp/dit.h"
#include "usp/mar.h"
#include "usp/position.h"
#include "usp/denoiser.h"
#include "usp/sampler.h"
#include "usp/diffusion.h"
#include "usp/transport.h"
#include "usp/ranks.h"
#include "usp/data.h"
#include "usp/trainer.h"
#include "usp/run.h"
#include "usp/recipe.h"
#include "usp/study.h"
#include "usp/transfer.h"
#include "usp/inception.h"
#include "usp/evaluate.h"
#include "usp/augment.h"
#include "usp/alignment.h"
#include "usp/segmentation.h"
#include "usp/segmenter.h"
#include "usp/understand.h"

#endif /* USP_H */

/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_STUDY_H
#define USP_STUDY_H

#include "base.h"

USP_BEGIN_DECLARATIONS

/* ---- study: what pretraining does on one's own images -------------------------------------- */

/* Trains what a comparison needs (autoencoder, judge, masked autoencoder), compares what starts from
 * pretrained weights with what starts fresh, on the same data, order and noise, and writes a page.
 *   source   a folder of images, with one subfolder for each class or without any; "colour", the
 *            photographs of Debian's wallpaper packages; "fashion-mnist"
 *   out      folder of index.html, metrics.json, pictures and checkpoints. What an earlier call has
 *            left there is gone on with, as far as it was made of the same images and settings, to
 *            the same bits
 *   length   "quick", "standard" (NULL) or "full"
 *   changes  what differs, as text: "seeds=1 size=32 ablate=mask-ratio,gates"; NULL = nothing. See
 *            usp_study_text
 *   progress told after each step of each part, `stage` naming it; NULL tells nobody
 * Errors: ARGUMENT for unknown options with the nearest, and for images that are too few; UNSUPPORTED
 * for ablations that a study does not make; IO; CANCELLED when progress said so, and all is saved. */
USP_API USP_CHECK usp_status usp_study_run(
    const char *source, const char *out, const char *length, const char *changes,
    usp_progress_fn progress, void *user);

/* All settings of such a study, as text: "seed=0 seeds=3 ...". Buffers as usp_checkpoint_report. */
USP_API USP_CHECK usp_status usp_study_text(
    const char *source, const char *length, const char *changes, char *buffer, size_t capacity,
    size_t *out_length);

USP_END_DECLARATIONS

#endif /* USP_STUDY_H */

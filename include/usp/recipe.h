/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_RECIPE_H
#define USP_RECIPE_H

#include "run.h"

USP_BEGIN_DECLARATIONS

/* ---- recipe: the pipeline's stages with their papers' values -------------------------------- */

/* "autoencoder", "pretrain", "finetune", "probe", "train", "autoregress", "segment",
 * "segment-linear", and published values for fine-tuning: "usp-b", "mae-b", "mae-l". Static; NULL past
 * the end. */
USP_API size_t usp_recipe_count(void);
USP_API const char *usp_recipe_name(size_t index);

/* What a recipe does where nothing is said: "batch=64 epochs=800 blr=0.00015 ...", the options of
 * usp_stage_create that differ from none; with `changes`, those in their place. Buffers as
 * usp_checkpoint_report. Errors: ARGUMENT for unknown names, with the nearest. */
USP_API USP_CHECK usp_status usp_recipe_text(
    const char *name, const char *changes, char *buffer, size_t capacity, size_t *out_length);

/* A recipe on its data: a model made, loaded or transferred, and its trainer. One thread at a
 * time. */
typedef struct usp_stage usp_stage;

/*   recipe      its name; "train" from a MAR, or with "family=MAR", is "autoregress"
 *   data        images, which are read through vae and cut as the recipe says; or latents
 *   vae         NULL: what the data has; none for "autoencoder"
 *   start       NULL: fresh, or what changes say; else a model of any family whose weights can
 *               become the stage's. A diffusion transformer made of a masked autoencoder, say, is
 *               transferred (usp_stage_note)
 *   validation  NULL: nothing is measured; else data of the same classes
 *   changes     what differs from the recipe, as text: "steps=100 batch=8 label_dropout=0.2".
 *               Options of the stage (see usp_recipe_text), of usp_trainer_options and
 *               usp_data_options; NULL = nothing
 * All are kept as long as they are needed. out: owned. Errors: ARGUMENT for unknown options with
 * the nearest, for data without what the stage learns from, and for more samples a step than there
 * are; SHAPE for a start of other latents. */
USP_API USP_CHECK usp_status usp_stage_create(
    const char *recipe, const usp_data *data, const usp_model *vae, const usp_model *start,
    const usp_data *validation, const char *changes, usp_stage **out);
USP_API void usp_stage_free(usp_stage *stage);

/* What was moved, left out or made smaller: lines, valid until the stage is freed; NULL past the
 * end. warns: 1 where a line tells of what is likely a mistake, such as a start that was trained on
 * another autoencoder's latents; else 0. */
USP_API size_t usp_stage_note_count(const usp_stage *stage);
USP_API const char *usp_stage_note(const usp_stage *stage, size_t index);
USP_API int usp_stage_note_warns(const usp_stage *stage, size_t index);

/* Its trainer, and its data as the trainer sees it. out: owned. */
USP_API USP_CHECK usp_status usp_stage_trainer(const usp_stage *stage, usp_trainer **out);
USP_API USP_CHECK usp_status usp_stage_data(const usp_stage *stage, usp_data **out);

/* Its run to the file `output`. Steps, averaging and the command's name are the stage's, whatever
 * the options say. Without `evaluate` a classifier's accuracy on the validation data (top1, top5)
 * and an autoencoder's psnr are measured. out: owned. Errors: as usp_run_create. */
USP_API USP_CHECK usp_status usp_stage_run(
    const usp_stage *stage, const char *output, const usp_run_options *options, usp_run **out);

/* The trained model as it is now: averaged weights where there are some; an autoencoder with the
 * scale that gives its latents unit variance on the data. out: owned. */
USP_API USP_CHECK usp_status usp_stage_model(const usp_stage *stage, usp_model **out);

/* The last numbers that were measured, by name: "top1=0.8 top5=0.97", or "psnr=24.1". Buffers as
 * usp_checkpoint_report. */
USP_API USP_CHECK usp_status usp_stage_metrics(
    const usp_stage *stage, char *buffer, size_t capacity, size_t *out_length);

USP_END_DECLARATIONS

#endif /* USP_RECIPE_H */

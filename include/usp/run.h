/* Part of usp.h, which tells the contracts that hold everywhere. */
#ifndef USP_RUN_H
#define USP_RUN_H

#include "data.h"
#include "trainer.h"

USP_BEGIN_DECLARATIONS

/* ---- run: a trainer on a data set, that can be interrupted --------------------------------- */

/* Steps up to a number. Beside the model OUT stand OUT-state.safetensors, of which a run with the
 * same options goes on to the same bits, and OUT-log.jsonl, one JSON object a line. A run that ends
 * early has saved all three; of several ranks, rank 0 writes. Until usp_run_train returns, or the run
 * is freed, another run with the same output is refused, in any process; one that was killed holds
 * nobody up.
 * What was read so far is known by size, time and, when in doubt, content: a run does not go on
 * with samples that are others, and says which.
 * One thread at a time, except for usp_run_cancel and usp_run_save. */
typedef struct usp_run usp_run;

/* After a step. */
typedef struct usp_run_progress {
    int64_t step;             /* steps done */
    int64_t steps;            /* in all */
    double epoch;             /* passes over the data */
    double loss;              /* of this step */
    double rate;              /* learning rate */
    double images_per_second; /* since the call began */
    double seconds;           /* likewise */
} usp_run_progress;

/* Return 0 to go on; anything else stops the run as usp_run_cancel does. */
typedef int32_t (*usp_run_progress_fn)(const usp_run_progress *progress, void *user);

/* Called at the end of each epoch and of the run: measure the trainer's model, and tell numbers by
 * usp_run_metric. Return 0; anything else ends the run with USP_ERROR_CALLBACK. */
typedef int32_t (*usp_run_evaluate_fn)(usp_run *run, void *user);

/* usp_run_options: written by make abi */
typedef struct usp_run_options {
    uint32_t struct_size; /* what the INIT macro wrote */
    uint32_t reserved;
    /* Told after every step; NULL tells nobody. */
    usp_run_progress_fn progress;
    /* Given to progress. */
    void *progress_user;
    /* Measures; NULL measures nothing. */
    usp_run_evaluate_fn evaluate;
    /* Given to evaluate. */
    void *evaluate_user;
    /* Steps in all, those of earlier runs included; absent: as epochs say. 0 or more. -1:
     * absent. */
    int64_t steps;
    /* Passes over the data; absent: as steps say. 0 to 1000000000. USP_ABSENT: absent. */
    double epochs;
    /* Save after so many steps, and every ten minutes. 1 or more. Default: 1000. */
    int64_t save_every;
    /* Add a line to the log every so many steps. 1 or more. Default: 10. */
    int64_t log_every;
    /* Start anew, whatever an earlier run has left. Default: no. */
    int64_t restart;
    /* Write the model with the moving average's values. Default: no. */
    int64_t averaged;
    /* What the log and messages call the run. Default: run. */
    const char *command;
    /* Measure every so many steps, beside the end of each epoch; absent: then alone. 1 or more.
     * -1: absent. */
    int64_t evaluate_every;
    /* A folder for TensorBoard, which is made: event files with the numbers of the log, and the
     * pictures that a stage draws. NULL: absent. */
    const char *log_dir;
} usp_run_options;

#define USP_RUN_OPTIONS_INIT \
    {USP_OPTIONS_SIZE(usp_run_options), 0, NULL, NULL, NULL, NULL, -1, USP_ABSENT, 1000, 10, 0, \
     0, "run", -1, NULL}
/* end of usp_run_options */

/* Go on from the state of an earlier run with the same options, if there is one beside `output`.
 *   trainer  fresh; the run keeps it. Its model is written to `output`, .safetensors or .pt
 * out: owned. Errors: ARGUMENT naming the first option that differs from the earlier run's; IO. */
USP_API USP_CHECK usp_status usp_run_create(
    usp_trainer *trainer, const usp_data *data, const char *output, const usp_run_options *options,
    usp_run **out);
USP_API void usp_run_free(usp_run *run);

/* Train to the end. Errors: CANCELLED when stopped, and all is saved then; NOT_FINITE; IO. */
USP_API USP_CHECK usp_status usp_run_train(usp_run *run);

/* In an evaluation: a number for the log, such as "top1". */
USP_API USP_CHECK usp_status usp_run_metric(usp_run *run, const char *name, double value);

/* Steps in all; those that an earlier run had made. */
USP_API int64_t usp_run_steps(const usp_run *run);
USP_API int64_t usp_run_resumed(const usp_run *run);

/* Stop after the step under way, when all is saved; any thread. */
USP_API void usp_run_cancel(usp_run *run);

/* Save after the step under way, and go on; any thread. */
USP_API void usp_run_save(usp_run *run);

USP_END_DECLARATIONS

#endif /* USP_RUN_H */

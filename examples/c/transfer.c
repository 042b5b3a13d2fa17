/* Move a pretrained masked autoencoder's weights into a diffusion transformer. */
#include "common.h"

int main(void) {
    usp_model *pretrained = NULL, *sit = NULL;
    /* or a checkpoint of USP's pretraining */
    const char *sizes =
        "grid=4 width=32 depth=2 heads=2 decoder_width=16 decoder_depth=1 decoder_heads=2";
    TRY(usp_model_create("MAE", sizes, 1, &pretrained));

    usp_checkpoint *source = NULL, *target = NULL;
    TRY(usp_model_checkpoint(pretrained, &source));

    /* "SiT" takes the source's sizes; a published name such as "SiT-XL/2" has its own. */
    usp_transfer_options options = USP_TRANSFER_OPTIONS_INIT;
    options.classes = 10;
    options.grid_height = options.grid_width = 6; /* position tables are resampled */
    usp_transfer_plan *plan = NULL;
    TRY(usp_transfer_plan_create(source, "SiT", &options, &plan));
    for (size_t i = 0; i < 4; i++)
        printf("%-24s %s\n", usp_transfer_plan_name(plan, i), usp_transfer_plan_action(plan, i));
    printf("... %lld of %lld parameters are the pretrained ones\n",
           (long long)usp_transfer_plan_transferred(plan),
           (long long)usp_transfer_plan_parameters(plan));

    TRY(usp_transfer_plan_apply(plan, &target));
    usp_model_options loading = USP_MODEL_OPTIONS_INIT;
    loading.family = "SiT";
    TRY(usp_model_load(target, &loading, &sit));
    printf("a %s of %lld parameters\n", usp_model_family(sit), (long long)usp_model_size(sit));
    TRY(usp_model_save(sit, "sit.safetensors", NULL));

    usp_transfer_plan_free(plan);
    usp_checkpoint_free(source);
    usp_checkpoint_free(target);
    usp_model_free(pretrained);
    usp_model_free(sit);
    return 0;
}

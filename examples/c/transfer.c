/* Make a model start from a pretrained one:
 *     transfer mae-xl.pth DiT-XL/2 init.safetensors [heads]
 * heads is needed only for widths that no published model has. */
#include <stdio.h>
#include <stdlib.h>
#include <usp.h>

#define TRY(call) \
    if ((call) != USP_OK) { \
        fprintf(stderr, "%s\n", usp_last_error()); \
        return 1; \
    }

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: %s SOURCE TARGET OUT [HEADS]\n", argv[0]);
        return 2;
    }
    usp_transfer_options options = USP_TRANSFER_OPTIONS_INIT;
    options.seed = 7;
    options.heads = argc > 4 ? atoi(argv[4]) : 0;

    /* The plan reads names and shapes only. */
    usp_transfer_plan *plan = NULL;
    TRY(usp_transfer_plan_open(argv[1], argv[2], &options, &plan));
    for (size_t i = 0; i < usp_transfer_plan_count(plan); i++)
        printf("%-40s %s\n", usp_transfer_plan_name(plan, i), usp_transfer_plan_action(plan, i));
    for (size_t i = 0; i < usp_transfer_plan_left_count(plan); i++)
        printf("left behind: %s, %s\n", usp_transfer_plan_left_name(plan, i),
               usp_transfer_plan_left_reason(plan, i));
    printf("%lld of %lld parameters come from %s\n",
           (long long)usp_transfer_plan_transferred(plan),
           (long long)usp_transfer_plan_parameters(plan), argv[1]);

    /* One tensor is in memory at a time; the file appears complete or not at all. */
    TRY(usp_transfer_plan_write(plan, argv[3], NULL));
    usp_transfer_plan_free(plan);
    return 0;
}
